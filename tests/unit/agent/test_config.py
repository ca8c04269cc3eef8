"""What the agent is told by its pod."""

from __future__ import annotations

from pathlib import Path

import pytest

from anabranch_agent.backoff import Backoff
from anabranch_agent.config import Config, ConfigError

ENVIRONMENT = {
    "ANABRANCH_AGENT": "paris",
    "ANABRANCH_NAMESPACE": "anabranch-system",
    "ANABRANCH_POD_UID": "1234",
    "ANABRANCH_HOST_IP": "192.0.2.1",
    "ANABRANCH_HEALTH_PORT": "9465",
    "ANABRANCH_STORE_BUCKET": "anabranch",
    "ANABRANCH_SCRATCH": "/var/lib/anabranch",
}


def test_the_environment_is_read_once() -> None:
    """Without an endpoint the store is AWS's, and all namespaces are watched."""
    config = Config.read(ENVIRONMENT)
    assert (config.agent, config.health_port) == ("paris", 9465)
    assert config.scratch == Path("/var/lib/anabranch")
    assert config.endpoint is None
    assert config.watch_namespaces == ()
    more = {"ANABRANCH_WATCH_NAMESPACES": "one,two", "ANABRANCH_WAITING_BYTES": "7"}
    config = Config.read(ENVIRONMENT | more)
    assert config.watch_namespaces == ("one", "two")
    assert config.waiting_bytes == 7


@pytest.mark.parametrize("name", ENVIRONMENT)
def test_what_is_missing_is_named_with_the_remedy(name: str) -> None:
    """Each variable that has to be there."""
    without = {key: value for key, value in ENVIRONMENT.items() if key != name}
    with pytest.raises(ConfigError, match=f"{name} is not set: set it to"):
        Config.read(without)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ANABRANCH_HOST_IP", "vp1"),
        ("ANABRANCH_HEALTH_PORT", "0"),
        ("ANABRANCH_HEALTH_PORT", "http"),
        ("ANABRANCH_WAITING_BYTES", "1Gi"),
    ],
)
def test_what_is_wrong_is_named_with_the_remedy(name: str, value: str) -> None:
    """And with what it is."""
    with pytest.raises(ConfigError, match=f"{name}: '{value}' is no .*; use"):
        Config.read(ENVIRONMENT | {name: value})


def test_waits_double_up_to_the_most_and_begin_anew() -> None:
    """Drawn between half and all of it."""
    backoff = Backoff(1, 10)
    waits = [backoff.fail() for _ in range(8)]
    for wait, longest in zip(waits, [1, 2, 4, 8, 10, 10, 10, 10], strict=True):
        assert longest / 2 <= wait <= longest
    backoff.succeed()
    assert backoff.fail() <= 1
