"""Markup in which all text is escaped."""

from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from anabranch.report.markup import Markup, element


class Reader(HTMLParser):
    """What a browser would read."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remembers an element."""
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Remembers text."""
        self.text += data


# Readers take carriage returns and nulls for other characters.
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"])) | st.sampled_from(
    ["</p><script>alert(1)</script>", '" onclick="alert(1)', "&lt;", "' x='", "<!--"]
)


@given(TEXTS, TEXTS)
def test_text_and_attributes_are_read_as_they_are(text: str, value: str) -> None:
    """Whatever they say."""
    reader = Reader(element("p", text, title=value))
    assert reader.elements == [("p", {"title": value})]
    assert reader.text == text


def test_markup_stays_markup() -> None:
    """An element within another one, and attributes without a value or absent ones."""
    inner = element("b", "1 < 2")
    outer = element("p", "so ", inner, class_="a", aria_label="x", hidden=True, id=None)
    assert outer == '<p class="a" aria-label="x" hidden>so <b>1 &lt; 2</b></p>'
    assert isinstance(outer, Markup)
    assert element("meta", name="a") == '<meta name="a">'
