"""What a command is made of."""

from __future__ import annotations

import argparse

Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001
"""Where a command adds its parser; argparse has no public name for it."""
