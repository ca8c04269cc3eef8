"""Charts as SVG, whose colours are those of the page's style."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from math import ceil, floor, log, log2, log10
from typing import TYPE_CHECKING

from anabranch.report.markup import element, join

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import TypeAlias

    from anabranch.report.markup import Markup

    Scale: TypeAlias = Callable[[float], float]
    """From a value to a place, in pixels."""
    Ticks: TypeAlias = list[tuple[float, str]]
    """Values, and what is written beside them."""

_WIDTH, _HEIGHT = 320, 210
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 312, 8, 172
_DIGIT, _LINE = 7, 11
"""The most room that a digit takes, and a line of text."""
_MOST_BINS = 24
"""The most bins of an axis whose bins have one value each."""
_MANY = 32
"""From which ratio of the highest to the lowest value on an axis is logarithmic."""


@dataclass(frozen=True)
class Bin:
    """The whole numbers from the first to the last one."""

    first: int
    last: int

    def __str__(self) -> str:
        return str(self.first) + (f"-{self.last}" if self.last > self.first else "")


def make_bins(lowest: int, highest: int) -> list[Bin]:
    """Return bins of one value each, or, if these are many, ever wider ones.

    There are at most some fifty of them, however high the values are.
    """
    if highest - lowest < _MOST_BINS:
        return [Bin(value, value) for value in range(lowest, highest + 1)]
    bins = []
    first = lowest
    step = 0
    while first <= highest:
        # The ends are 1, 2, 3, 4, 6, 8, 12, 16, …: powers of two, and those by 1.5.
        end = (2, 3)[step % 2] << step // 2
        if end >= first:
            bins.append(Bin(first, end))
            first = end + 1
        step += 1
    return bins


def draw_histogram(about: str, label: str, counts: dict[int, int]) -> Markup:
    """Draw how many diamonds have which whole number."""
    bins = make_bins(min(counts), max(counts))
    lasts = [each.last for each in bins]
    heights = [0] * len(bins)
    for value, count in counts.items():
        heights[bisect_left(lasts, value)] += count
    least, most = min(filter(None, heights)), max(heights)
    is_log = most >= _MANY * least
    if is_log:
        scale = _scale_log(0.8, most * 1.2)
    else:
        scale = _scale_linear(0, most * 1.05, is_whole=True)
    y, _ = scale
    step = (_RIGHT - _LEFT) / len(bins)
    places = [_LEFT + step * number for number in range(len(bins))]
    bars = [
        element(
            "rect",
            element("title", f"{each}: {height:,}"),
            class_="bar",
            x=_round(x + step * 0.12),
            y=_round(y(height)),
            width=_round(step * 0.76),
            height=_round(_BOTTOM - y(height)),
        )
        for each, height, x in zip(bins, heights, places, strict=True)
        if height
    ]
    labels = [(x + step / 2, str(each)) for each, x in zip(bins, places, strict=True)]
    return _frame(about, label, scale, _thin(labels), bars)


def draw_cdf(
    about: str,
    label: str,
    series: Mapping[str, Sequence[tuple[float, float]]],
    *,
    is_whole: bool,
) -> Markup:
    """Draw the shares of values that are at most ``x``, a line for each series.

    A series holds values in order, and the share up to each. The classes of lines are
    the names of the series. Values are whole numbers if ``is_whole``, and otherwise
    shares, whose axis begins at 0.
    """
    values = [value for points in series.values() for value, _ in points]
    low, high = min(values) if is_whole else 0, max(values)
    if low > 0 and high >= _MANY * low:
        x, x_ticks = _scale_doubling(low, high)
    else:
        x, x_ticks = _scale_along(low, high, is_whole=is_whole)
    scale = _scale_linear(0, 1, is_whole=False)
    lines = [
        element("path", d=_step(points, x, scale[0]), class_=f"line {name}")
        for name, points in series.items()
    ]
    labels = [(x(value), text) for value, text in x_ticks]
    return _frame(about, label, scale, labels, lines)


def draw_heat_map(
    about: str,
    labels: tuple[str, str],
    counts: dict[tuple[int, int], int],
) -> Markup:
    """Draw how many diamonds have which two whole numbers.

    The stronger the colour of a cell, the more; its text is their share in percent.
    """
    axes = [make_bins(min(values), max(values)) for values in zip(*counts, strict=True)]
    lasts = [[each.last for each in bins] for bins in axes]
    cells: dict[tuple[int, int], int] = {}
    for values, count in counts.items():
        key = [bisect_left(*pair) for pair in zip(lasts, values, strict=True)]
        cells[key[0], key[1]] = cells.get((key[0], key[1]), 0) + count
    total, most = sum(cells.values()), max(cells.values())
    wide = (_RIGHT - _LEFT) / len(axes[0])
    high = (_BOTTOM - _TOP) / len(axes[1])
    ground = element(
        "rect",
        class_="ground",
        x=_LEFT,
        y=_TOP,
        width=_RIGHT - _LEFT,
        height=_BOTTOM - _TOP,
    )
    drawn = [ground]
    for (column, row), count in sorted(cells.items()):
        strength = 0.1 + 0.9 * (1 + log(count)) / (1 + log(most))
        x, y = _LEFT + wide * column, _BOTTOM - high * (row + 1)
        title = (
            f"{labels[0]} {axes[0][column]}, {labels[1]} {axes[1][row]}: "
            f"{count:,} ({count / total:.2%})"
        )
        percent = f"{100 * count / total:.0f}" if count >= total / 100 else ""
        fits = wide > _DIGIT * len(percent) + 2 and high > _LINE
        drawn.append(
            element(
                "g",
                element("title", title),
                element(
                    "rect",
                    class_="cell",
                    x=_round(x),
                    y=_round(y),
                    width=_round(wide),
                    height=_round(high),
                    fill_opacity=f"{strength:.2f}",
                ),
                *_tell(percent if fits else "", x + wide / 2, y + high / 2, strength),
            )
        )
    x_labels = [
        (_LEFT + wide * (number + 0.5), str(each))
        for number, each in enumerate(axes[0])
    ]
    rows = [
        (_BOTTOM - high * (number + 0.5), str(each))
        for number, each in enumerate(axes[1])
    ]
    apart = ceil(_LINE / high)
    y_labels = [
        _text(text, _LEFT - 5, y + 3.5, "tick end") for y, text in rows[::apart]
    ]
    return _chart(about, labels[0], _thin(x_labels), [*drawn, *y_labels])


def _tell(text: str, x: float, y: float, strength: float) -> list[Markup]:
    """Return the text of a cell, in a colour that can be read on it."""
    kind = "strong" if strength > _STRONG else "middling" if strength > _WEAK else ""
    return [_text(text, x, y + 3.5, f"cell-text {kind}")] if text else []


_WEAK, _STRONG = 0.6, 0.85
"""Between which strengths of a cell's colour its text depends on the page's colours."""


def _frame(
    about: str,
    label: str,
    scale: tuple[Scale, Ticks],
    x_labels: Ticks,
    content: list[Markup],
) -> Markup:
    y, ticks = scale
    grid = []
    for value, text in ticks:
        place = _round(y(value))
        grid.append(
            element("line", class_="grid", x1=_LEFT, x2=_RIGHT, y1=place, y2=place)
        )
        grid.append(_text(text, _LEFT - 5, y(value) + 3.5, "tick end"))
    return _chart(about, label, x_labels, [*grid, *content])


def _chart(
    about: str, label: str, x_labels: Ticks, content: Iterable[Markup]
) -> Markup:
    """Return a chart with its axis of x; ``about`` is said instead of it."""
    axis = element("line", class_="axis", x1=_LEFT, x2=_RIGHT, y1=_BOTTOM, y2=_BOTTOM)
    ticks = [_text(text, x, _BOTTOM + 15, "tick middle") for x, text in x_labels]
    name = _text(label, (_LEFT + _RIGHT) / 2, _HEIGHT - 5, "label middle")
    return element(
        "svg",
        join(*content, axis, *ticks, name),
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        role="img",
        aria_label=about,
    )


def _text(text: str, x: float, y: float, kind: str) -> Markup:
    return element("text", text, x=_round(x), y=_round(y), class_=kind)


def _thin(labels: Ticks) -> Ticks:
    """Leave out labels until the others have room."""
    room = _DIGIT * max(len(text) for _, text in labels) + 6
    apart = 1
    while apart < len(labels) and labels[apart][0] - labels[0][0] < room:
        apart += 1
    return labels[::apart]


def _step(points: Sequence[tuple[float, float]], x: Scale, y: Scale) -> str:
    """Return the path of a distribution: the share rises at each value."""
    path = [f"M{_LEFT} {_round(y(0))}"]
    last = ""
    for value, share in points:
        # Several values may be at one place: then the last one's share is seen.
        place = _round(x(value))
        if place == last:
            path.pop()
        else:
            path.append(f"H{place}")
        path.append(f"V{_round(y(share))}")
        last = place
    return "".join([*path, f"H{_RIGHT}"])


def _scale_linear(low: float, high: float, *, is_whole: bool) -> tuple[Scale, Ticks]:
    """Return a vertical scale."""
    step = _choose_step(high - low, is_whole=is_whole)
    count = floor((high - low) / step + 1e-9)
    ticks = [(low + step * number) for number in range(count + 1)]
    return _place(low, high, _BOTTOM, _TOP), [(tick, _write(tick)) for tick in ticks]


def _scale_log(low: float, high: float) -> tuple[Scale, Ticks]:
    """Return a vertical scale by powers of ten."""
    linear = _place(log10(low), log10(high), _BOTTOM, _TOP)
    powers = range(ceil(log10(low)), floor(log10(high)) + 1)
    apart = ceil(len(powers) / 6)
    ticks = [(10.0**power, _write(10**power)) for power in powers[::apart]]
    return lambda value: linear(log10(value)), ticks


def _scale_along(low: float, high: float, *, is_whole: bool) -> tuple[Scale, Ticks]:
    """Return a horizontal scale, with a little room at its ends."""
    span = (high - low) or 1
    low, high = low - span / 25, high + span / 25
    step = _choose_step(high - low, is_whole=is_whole)
    first, last = ceil(low / step - 1e-9), floor(high / step + 1e-9)
    ticks = [(step * n, _write(step * n)) for n in range(first, last + 1)]
    return _place(low, high, _LEFT, _RIGHT), ticks


def _scale_doubling(low: float, high: float) -> tuple[Scale, Ticks]:
    """Return a horizontal scale by powers of two."""
    linear = _place(log2(low) - 0.2, log2(high) + 0.2, _LEFT, _RIGHT)
    powers = range(ceil(log2(low)), floor(log2(high)) + 1)
    apart = ceil(len(powers) / 8)
    ticks = [(2.0**power, _write(2**power)) for power in powers[::apart]]
    return lambda value: linear(log2(value)), ticks


def _place(low: float, high: float, start: float, end: float) -> Scale:
    return lambda value: start + (value - low) / (high - low) * (end - start)


def _choose_step(span: float, *, is_whole: bool) -> float:
    """Return the distance of about five ticks: 1, 2 or 5 times a power of ten."""
    power = 10.0 ** floor(log10(span / 5))
    step: float = min(
        (factor * power for factor in (1, 2, 5, 10)),
        key=lambda step: abs(span / step - 5),
    )
    return max(1, step) if is_whole else step


def _write(value: float) -> str:
    """Return a number as an axis shows it."""
    for size, sign in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{sign}"
    return f"{round(value, 6):g}"


def _round(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def find_quantile(points: Sequence[tuple[float, float]], share: float) -> float:
    """Return the lowest value up to which at least a share of all are."""
    return next(value for value, up_to in points if up_to >= share - 1e-9)
