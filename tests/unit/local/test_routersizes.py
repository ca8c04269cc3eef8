"""A figure of the sizes of routers."""

from __future__ import annotations

import numpy as np
import pytest

from anabranch.local.routersizes import draw_sizes
from figures import find_clashes, read_legend


def test_sizes_are_drawn_beside_those_of_the_paper() -> None:
    """Each step is the share of routers with so many addresses at most."""
    counts = {2: 6, 3: 3, 12: 1}
    rows = [{"addresses": size, "routers": count} for size, count in counts.items()]
    figure = draw_sizes("demo", rows)
    assert find_clashes(figure) == []
    found, paper = (np.asarray(line.get_data()) for line in figure.axes[0].lines)
    assert found[0] == pytest.approx([2, 2, 3, 12])
    assert found[1] == pytest.approx([0, 0.6, 0.9, 1])
    assert paper.tolist() == [[2, 10], [0.68, 0.97]]
    assert read_legend(figure) == [
        "10 routers with several addresses",
        "Vermeulen et al., IMC 2018",
    ]


def test_a_run_without_routers_is_drawn() -> None:
    """What is not there is said."""
    figure = draw_sizes("demo", [])
    assert find_clashes(figure) == []
    assert [text.get_text() for text in figure.axes[0].texts] == ["none"]
