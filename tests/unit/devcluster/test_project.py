"""Of which wheels the project's images are made."""

from __future__ import annotations

import pytest

from devcluster.project import check_wheels

WHEEL = "anabranch-0.3.0-py3-none-any.whl"
ENGINE = "anabranch_engine-0.3.0-cp311-abi3-linux_x86_64.whl"


def test_one_wheel_of_each_name_and_of_the_version_is_taken() -> None:
    """A folder that `make wheels` has just filled is what images are built of."""
    check_wheels([ENGINE, WHEEL], "0.3.0")


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ([], "no wheel"),
        ([ENGINE], "no wheel"),
        ([WHEEL], "no wheel"),
        ([WHEEL.replace("0.3.0", "0.2.0"), ENGINE], "anabranch-0.2.0-"),
        ([WHEEL, ENGINE.replace("0.3.0", "0.2.0")], "anabranch_engine-0.2.0-"),
        ([WHEEL, ENGINE, WHEEL.replace("0.3.0", "0.2.0")], "anabranch-0.2.0-"),
        ([WHEEL, ENGINE, ENGINE.replace("x86_64", "aarch64")], "aarch64"),
    ],
)
def test_other_wheels_are_refused(files: list[str], found: str) -> None:
    """A wheel that is missing, old or one of two is told with its remedy."""
    with pytest.raises(RuntimeError, match=f"{found}.*: run make images$"):
        check_wheels(files, "0.3.0")
