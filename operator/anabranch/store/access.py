"""What of a bucket an agent may reach, in the words of S3's policies."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from anabranch.store.keys import AGENT_READS, AGENT_WRITES

if TYPE_CHECKING:
    from collections.abc import Mapping

Statement = dict[str, Any]

_VERSION = "2012-10-17"
_ONCE = "s3:if-none-match"
"""The header by which a put leaves an object as it is, as AWS calls it in policies."""
_COST = {"n": 1 << 14, "r": 8, "p": 1}
"""scrypt's: a guess at the store's own key takes 50 ms."""


@dataclass(frozen=True)
class Reach:
    """What one agent reaches of a bucket, besides nothing."""

    owners: frozenset[str]
    """Whose steps it probes: its own name, and those of its teams."""
    objects: frozenset[str] = frozenset()
    """The keys of users' objects that it reads."""

    def __or__(self, other: Reach) -> Reach:
        """Return what is in either."""
        return Reach(self.owners | other.owners, self.objects | other.objects)


def write_identity_policy(bucket: str, reach: Reach, *, once: bool) -> str:
    """Return the policy of a user or role of an agent, as JSON.

    With ``once`` it lets nothing be put over an object. AWS knows that condition.
    """
    return _write(_allow(bucket, reach, once=once))


def write_bucket_policy(bucket: str, reaches: Mapping[str, Reach]) -> str:
    """Return the policy of a bucket for several users by name, as JSON.

    The same users give the same text. Whom it does not name, it gives nothing.
    """
    named = sorted(reaches.items())
    return _write(
        [
            {**statement, "Principal": {"AWS": [user]}}
            for user, reach in named
            for statement in _allow(bucket, reach, once=False)
        ]
    )


def write_once_policy(bucket: str) -> str:
    """Return the policy of a bucket that lets nobody put over an object, as JSON."""
    return _write(
        [
            {
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:PutObject",
                "Resource": _arn(bucket, "*"),
                "Condition": {
                    "Null": {_ONCE: "true"},
                    "Bool": {"s3:ObjectCreationOperation": "true"},
                },
            }
        ]
    )


def stretch(secret: str) -> bytes:
    """Return what agents' keys are made of: it does not tell the store's own key."""
    return hashlib.scrypt(secret.encode(), salt=b"anabranch agents", **_COST)


def derive_key(stretched: bytes, uid: str) -> str:
    """Return the secret key of the Agent with this UID, 40 hexadecimal digits."""
    return hmac.digest(stretched, uid.encode(), "sha256").hex()[:40]


def _allow(bucket: str, reach: Reach, *, once: bool) -> list[Statement]:
    owners = sorted(reach.owners)
    reads = [_arn(bucket, _below(owner, it)) for owner in owners for it in AGENT_READS]
    lists = [_below(owner, it) for owner in owners for it in AGENT_WRITES]
    put: Statement = {
        "Effect": "Allow",
        "Action": ["s3:PutObject"],
        "Resource": [_arn(bucket, key) for key in lists],
    }
    if once:
        put["Condition"] = {"Null": {_ONCE: "false"}}
    return [
        {
            "Effect": "Allow",
            "Action": ["s3:ListBucket"],
            "Resource": [f"arn:aws:s3:::{bucket}"],
            "Condition": {"StringLike": {"s3:prefix": lists}},
        },
        {
            "Effect": "Allow",
            "Action": ["s3:GetObject"],
            "Resource": [*reads, *(_arn(bucket, key) for key in sorted(reach.objects))],
        },
        put,
    ]


def _below(owner: str, pattern: str) -> str:
    """Return the pattern of keys of an agent's or team's runs; ``*`` takes slashes."""
    return f"agents/{owner}/*/{pattern}"


def _arn(bucket: str, key: str) -> str:
    return f"arn:aws:s3:::{bucket}/{key}"


def _write(statements: list[Statement]) -> str:
    return json.dumps({"Version": _VERSION, "Statement": statements}, indent=1)
