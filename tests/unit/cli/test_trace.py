"""`anabranch trace`: what it refuses before it sends anything."""

from __future__ import annotations

import pytest

from anabranch.cli import main

RESERVED = "240.0.0.1"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([RESERVED], "is not globally reachable unicast; name another address"),
        (["2001:db8::1"], "or use --allow-reserved"),
        (["-4", "2001:4860::1"], "2001:4860::1 is no IPv4 address"),
        (["-6", "192.88.99.1"], "192.88.99.1 is no IPv6 address"),
        (["nobody.invalid"], "nobody.invalid is no address, and no name"),
        ([""], "a destination is empty; give an address"),
        (["-6", " "], "a destination is empty; give an address"),
        (["fe80::1%lo"], "fe80::1%lo has a zone; leave out %lo: --interface"),
        (["fe80::1%lo", "--allow-reserved"], "fe80::1%lo has a zone"),
        ([RESERVED, "--allow-reserved", "--source", "fe80::2%lo"], "fe80::2%lo has"),
        ([RESERVED, RESERVED, "--allow-reserved"], "240.0.0.1 is a destination twice"),
        ([RESERVED, "--allow-reserved", "--first-ttl", "9", "--max-ttl", "3"], "below"),
        ([RESERVED, "--allow-reserved", "--phi", "1"], "phi must be 2 or more"),
        ([RESERVED, "--allow-reserved", "--plot", "x.doc"], "end its name with .svg"),
        ([RESERVED, "--allow-reserved", "--contact", "x" * 257], "at most 256 bytes"),
        ([RESERVED, "--allow-reserved", "--annotate", "gone"], "gone: No such file"),
        ([RESERVED, "--allow-reserved", "--annotate", __file__], "line 1: "),
    ],
)
def test_what_can_not_be_traced_is_refused(
    words: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the remedy."""
    assert main(["trace", *words]) == 1
    told = capsys.readouterr()
    assert reason in told.err
    assert not told.out


@pytest.mark.parametrize("option", ["--max-ttl", "--attempts", "--gap-limit"])
def test_a_count_out_of_range_is_refused(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the range."""
    with pytest.raises(SystemExit):
        main(["trace", RESERVED, option, "0"])
    assert "'0' must be from 1 to 255" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--max-probes", "--window"])
def test_a_number_below_one_is_refused(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the range."""
    with pytest.raises(SystemExit):
        main(["trace", RESERVED, option, "0"])
    assert "'0' must be a number from 1 on" in capsys.readouterr().err
