"""The users of an S3 gateway, versitygw, and what its bucket lets them do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlencode
from xml.sax.saxutils import escape

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError
from botocore.httpsession import URLLib3Session

from anabranch.store.s3 import StoreError

if TYPE_CHECKING:
    from anabranch.store.s3 import S3Store

_TIMEOUT_SECONDS = 30
_ERRORS = 400
_THERE = 409


@dataclass(frozen=True)
class Gateway:
    """A gateway whose root user we are; see versitygw's ``--iam-dir``."""

    store: S3Store
    _session: URLLib3Session = field(
        default_factory=lambda: URLLib3Session(timeout=_TIMEOUT_SECONDS)
    )

    @property
    def root_secret(self) -> str:
        """The secret key of its root user.

        Raises:
            StoreError: If there are no credentials.
        """
        return self.store.find_credentials().secret_key or ""

    def put_user(self, name: str, secret: str) -> None:
        """Make a user, or give an existing one this secret key.

        Raises:
            StoreError: If the gateway refuses it, or does not answer.
        """
        told = f"<Secret>{escape(secret)}</Secret><Role>user</Role>"
        made = f"<Account><Access>{escape(name)}</Access>{told}</Account>"
        if self._patch("create-user", made) == _THERE:
            query = urlencode({"access": name})
            changed = f"<MutableProps>{told}</MutableProps>"
            self._patch(f"update-user?{query}", changed, there=0)

    def put_policy(self, text: str) -> None:
        """Put the policy of the bucket in place of the one before.

        Raises:
            StoreError: If the gateway refuses it, or does not answer.
        """
        self.store.put_policy(text)

    def _patch(self, path: str, body: str, there: int = _THERE) -> int:
        """Send a signed request; return its status, which may be ``there``."""
        url = f"{self.store.endpoint}/{path}"
        request = AWSRequest("PATCH", url, data=body.encode())
        credentials = self.store.find_credentials()
        S3SigV4Auth(credentials, "s3", self.store.region).add_auth(request)
        what = path.partition("?")[0]
        try:
            answer = self._session.send(request.prepare())
        except BotoCoreError as error:
            raise StoreError(
                f"{what}: the gateway can't be reached: {error}"
            ) from error
        if answer.status_code >= _ERRORS and answer.status_code != there:
            told = answer.content[:500].decode(errors="replace")
            raise StoreError(
                f"{what}: the gateway says {answer.status_code}, {told}; it must run "
                "with --iam-dir, and these credentials must be its root's"
            )
        return answer.status_code
