"""The API server, by plain requests."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import ClientError, ClientTimeout
from kubernetes.aio import config as kubernetes_config
from kubernetes.aio.client import ApiClient, Configuration

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

CONFLICT = 409
NOT_FOUND = 404
FORBIDDEN = 403
INVALID = 422
_ERRORS = 400

JSON = "application/json"
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"


class RefusedError(Exception):
    """The API server's answer to what it does not do."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"the API server says {status}: {message}")
        self.status = status


class UnreachableError(Exception):
    """The API server does not answer."""


@dataclass(frozen=True)
class Cluster:
    """A connection to the API server."""

    client: ApiClient
    seconds: float = 30
    """The longest that an answer may take."""

    @staticmethod
    async def connect(seconds: float = 30) -> Cluster:
        """As the pod's service account, or as ``KUBECONFIG`` says.

        Raises:
            kubernetes.aio.config.ConfigException: Where there is neither.
        """
        configuration = Configuration()
        if file := os.environ.get("KUBECONFIG"):
            await kubernetes_config.load_kube_config(  # type: ignore[no-untyped-call]
                file, client_configuration=configuration
            )
        else:
            kubernetes_config.load_incluster_config(  # type: ignore[no-untyped-call]
                configuration
            )
        return Cluster(ApiClient(configuration), seconds)

    async def close(self) -> None:
        """Closes the connection."""
        await self.client.close()  # type: ignore[no-untyped-call]

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content: str = JSON,
    ) -> dict[str, Any]:
        """What the API server answers.

        Raises:
            RefusedError: When it does not do it.
            UnreachableError: When there is no answer in time.
        """
        words = _Words(method, path, query or {}, body, content)
        with _told():
            response = await self._send(words, ClientTimeout(total=self.seconds))
            answer = await response.read()
        return _read_answer(response.status, answer)

    async def watch(
        self, path: str, query: Mapping[str, str], silence: float
    ) -> AsyncIterator[dict[str, Any]]:
        """The events of a watch, until it ends.

        Raises:
            RefusedError: When the API server does not do it.
            UnreachableError: When it breaks, or is silent for ``silence`` seconds.
        """
        query = {**query, "watch": "true", "allowWatchBookmarks": "true"}
        limit = ClientTimeout(total=None, connect=self.seconds, sock_read=silence)
        with _told():
            response = await self._send(_Words("GET", path, query), limit)
            stream = response.response
            try:
                if response.status >= _ERRORS:
                    _read_answer(response.status, await response.read())
                while line := await stream.content.readline():
                    yield json.loads(line)
            finally:
                stream.close()

    async def _send(self, words: _Words, limit: ClientTimeout) -> Any:
        headers = {"Accept": JSON}
        if words.content:
            headers["Content-Type"] = words.content
        request = await self.client.param_serialize(
            words.method,
            words.path,
            query_params=list(words.query.items()),
            header_params=headers,
            body=words.body,
            auth_settings=["BearerToken"],
        )
        return await self.client.call_api(*request, _request_timeout=limit)


@dataclass(frozen=True)
class _Words:
    """A request."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Mapping[str, Any] | None = None
    content: str = ""


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Tells what can break between here and there as one error."""
    try:
        yield
    except (ClientError, OSError) as error:  # a timeout is an OSError
        reason = str(error) or type(error).__name__
        raise UnreachableError(f"the API server can't be reached: {reason}") from error


def _read_answer(status: int, answer: bytes) -> dict[str, Any]:
    if status >= _ERRORS:
        try:
            message = json.loads(answer)["message"]
        except (ValueError, KeyError, TypeError):
            message = answer[:200].decode(errors="replace")
        raise RefusedError(status, message)
    read: dict[str, Any] = json.loads(answer)
    return read
