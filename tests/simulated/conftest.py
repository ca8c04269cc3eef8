"""A simulated Internet for each test."""

from __future__ import annotations

import pytest

from world import World


@pytest.fixture
def world() -> World:
    """The Internet of the demo."""
    return World()
