"""An agent's credentials reach its own steps only, at a real gateway with users."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.exceptions import ClientError

from anabranch.store.access import (
    Reach,
    derive_key,
    stretch,
    write_bucket_policy,
    write_identity_policy,
    write_once_policy,
)
from anabranch.store.gateway import Gateway
from anabranch.store.s3 import S3Store, StoreError
from devcluster.s3 import SECRET

if TYPE_CHECKING:
    from pathlib import Path

    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import CopySourceTypeDef

    from devcluster.s3 import S3

PARIS = "agents/paris/uid/run/001-00"
TOKYO = "agents/tokyo/uid/run/001-00"
TEAM = "agents/europe/uid/run/001-00"
OTHERS = (
    *(f"{PARIS}/links/00000-000.parquet", f"{PARIS}/outcome.json"),
    *("agents/paris/uid/run/run.json", f"{TOKYO}/plan.parquet"),
    *(f"{TOKYO}/replies/00000/0.parquet", "surveys/uid/run/links.parquet"),
    *("cycles/uid/000001.json", f"shared/sha256:{'0' * 64}", "lists/uid/1.json"),
    *("lists/secret.csv", "agents/parisian/uid/run/001-00/plan.parquet"),
    f"{PARIS}/replies/../../../../../../{TOKYO}/plan.parquet",
)
"""What the agent of Paris must not reach."""
EVERYTHING = Reach(frozenset({"*"}), frozenset({"*"}))


def refused() -> pytest.RaisesExc[StoreError | ClientError]:
    """Whether the gateway refuses what the ``with`` block does, as forbidden."""
    words = "AccessDenied|40[13]|SignatureDoesNotMatch|InvalidAccessKeyId"
    return pytest.raises((StoreError, ClientError), match=words)


@dataclass(frozen=True)
class Visitor:
    """Somebody with credentials, by our store and by plain S3."""

    store: S3Store
    client: S3Client


def enter(s3: S3, user: str, secret: str) -> Visitor:
    """Comes in as a user."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", user)
        patch.setenv("AWS_SECRET_ACCESS_KEY", secret)
        store = S3Store(s3.bucket, endpoint_url=s3.url)
        store.find_credentials()
        return Visitor(store, boto3.client("s3", endpoint_url=s3.url))


@pytest.fixture
def root(s3: S3) -> S3Store:
    """The store as root sees it."""
    return S3Store(s3.bucket, endpoint_url=s3.url)


@pytest.fixture
def paris(s3: S3, root: S3Store) -> Visitor:
    """The agent of Paris, which has a team and reads a table."""
    gateway = Gateway(root)
    for user in ("agent-paris", "agent-tokyo"):
        gateway.put_user(user, "first")
    gateway.put_user("agent-paris", "second")
    reach = Reach(frozenset({"paris", "europe"}), frozenset({"annotations/as.mmdb"}))
    reaches = {"agent-paris": reach, "agent-tokyo": Reach(frozenset({"tokyo"}))}
    gateway.put_policy(write_bucket_policy(s3.bucket, reaches))
    return enter(s3, "agent-paris", "second")


def test_an_agent_does_its_work(root: S3Store, paris: Visitor, tmp_path: Path) -> None:
    """It reads plans, lists and puts parts, and puts archives, as its team, too."""
    root.put("annotations/as.mmdb", b"table")
    for step in (PARIS, TEAM):
        root.put(f"{step}/plan.parquet", b"plan")
        file = paris.store.fetch(f"{step}/plan.parquet", tmp_path)
        assert file.read_bytes() == b"plan"
        part = f"{step}/replies/00000/0.parquet"
        assert paris.store.put(part, b"part")
        assert not paris.store.put(part, b"again")
        assert paris.store.tail(part, 2) == b"rt"
        assert list(paris.store.list(f"{step}/replies")) == [part]
    assert paris.store.put("agents/paris/uid/run/archives/a.tgz", b"")
    assert paris.store.find_stamp("annotations/as.mmdb")
    assert paris.store.get("annotations/as.mmdb") == b"table"


def test_an_agent_reaches_nothing_of_others(root: S3Store, paris: Visitor) -> None:
    """It neither reads, puts, replaces, copies nor removes what others have."""
    for key in OTHERS:
        check_closed(key, root, paris)


def check_closed(key: str, root: S3Store, paris: Visitor) -> None:
    """Whether the agent of Paris can do nothing with a key of others."""
    root.put(key, b"theirs")
    theirs: CopySourceTypeDef = {"Bucket": root.bucket, "Key": key}
    with refused():
        paris.store.get(key)
    with refused():
        paris.store.put(key, b"mine")
    with refused():
        paris.client.put_object(Bucket=root.bucket, Key=key, Body=b"mine")
    with refused():
        paris.client.delete_object(Bucket=root.bucket, Key=key)
    with refused():
        own = f"{PARIS}/replies/00000/9.parquet"
        paris.client.copy_object(Bucket=root.bucket, Key=own, CopySource=theirs)
    assert root.get(key) == b"theirs"


def test_an_agent_sees_nothing_of_others(root: S3Store, paris: Visitor) -> None:
    """Neither what there is, nor who may do what, nor can it change that."""
    root.put(f"{TOKYO}/replies/00000/0.parquet", b"theirs")
    for folder in ("agents", "agents/tokyo", "agents/paris", "surveys", TOKYO):
        with refused():
            list(paris.store.list(folder))
    assert list(paris.store.list(f"{PARIS}/replies/../../../../../../{TOKYO}")) == []
    bucket = root.bucket
    with refused():
        paris.client.list_objects_v2(Bucket=bucket)
    with refused():
        paris.client.list_object_versions(Bucket=bucket)
    with refused():
        paris.client.get_bucket_policy(Bucket=bucket)
    with refused():
        paris.store.put_policy(write_bucket_policy(bucket, {"agent-paris": EVERYTHING}))
    for user in ("agent-more", "agent-tokyo", "agent-paris"):
        with refused():
            Gateway(paris.store).put_user(user, "secret")


def test_an_agent_removes_nothing_of_its_own(root: S3Store, paris: Visitor) -> None:
    """Whoever takes its credentials can't take back what it has stored."""
    part = f"{PARIS}/replies/00000/0.parquet"
    paris.store.put(part, b"part")
    with refused():
        paris.client.delete_object(Bucket=root.bucket, Key=part)
    assert paris.store.get(part) == b"part"


def test_an_old_secret_opens_nothing(s3: S3, paris: Visitor) -> None:
    """Once the user has another one; nor does a user that is none."""
    key = f"{PARIS}/replies/00000/0.parquet"
    paris.store.put(key, b"part")
    for user in ("agent-paris", "agent-nobody"):
        with refused():
            enter(s3, user, "first").store.get(key)


def test_no_error_tells_a_secret(s3: S3, root: S3Store) -> None:
    """Whoever is refused, and whatever is not reached; nor does a text of a store."""
    secret = uuid.uuid4().hex
    wrong = enter(s3, "agent-paris", secret).store
    away = enter(replace(s3, url="http://127.0.0.1:1"), "agent-paris", secret).store
    told = [repr(store) + repr(Gateway(store)) for store in (root, wrong)]
    for attempt in (
        partial(wrong.get, "key"),
        partial(wrong.put, "key", b""),
        partial(Gateway(wrong).put_user, "agent-tokyo", secret),
        partial(Gateway(away).put_user, "agent-tokyo", secret),
    ):
        with pytest.raises(StoreError) as error:
            attempt()
        told += [str(error.value), repr(error.value.__cause__)]
    assert not any(secret in each or SECRET in each for each in told)


def test_keys_differ_by_agent_and_by_the_stores_own() -> None:
    """And are the same whoever derives them."""
    one, other = stretch("root"), stretch("root2")
    assert derive_key(one, "uid") == derive_key(stretch("root"), "uid")
    assert (
        len({derive_key(one, "uid"), derive_key(one, "2"), derive_key(other, "uid")})
        == 3
    )


def test_policies_say_the_same_of_users_and_of_buckets() -> None:
    """A user's own has no principal; with once, a put must spare what is there."""
    reach = Reach(frozenset({"paris"}))
    own = json.loads(write_identity_policy("b", reach, once=True))["Statement"]
    ours = json.loads(write_bucket_policy("b", {"u": reach}))["Statement"]
    assert own[-1].pop("Condition") == {"Null": {"s3:if-none-match": "false"}}
    assert all(each.pop("Principal") == {"AWS": ["u"]} for each in ours)
    assert own == ours
    (deny,) = json.loads(write_once_policy("b"))["Statement"]
    assert (deny["Effect"], deny["Action"]) == ("Deny", "s3:PutObject")
