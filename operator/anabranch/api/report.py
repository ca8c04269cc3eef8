"""Describe an invalid value in words that say what to write instead."""

from __future__ import annotations

import json
import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from anabranch.api.schema import describe
from anabranch.api.text import FORMS

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from anabranch.api.document import Path
    from anabranch.api.model import Model

_LONGEST = 80
"""The most characters of a value that are shown."""


def show_path(path: Path) -> str:
    """Return a path as people write it: ``spec.agents[0].name``."""
    shown = "".join(
        f"[{part}]" if isinstance(part, int) else f".{show_text(part)}" for part in path
    )
    return shown.removeprefix(".")


def show_text(text: str) -> str:
    """Return a text on one line, shortened and with control characters escaped."""
    short = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return escape(short)


def show_value(value: Any) -> str:
    """Return a value as it is written in YAML."""
    return show_text(json.dumps(value, default=str, ensure_ascii=False))


def explain(details: ErrorDetails, model: type[Model]) -> str:
    """Return what is wrong with a value of a model, and what to write instead."""
    *parents, field = details["loc"] or ("",)
    context = details.get("ctx", {})
    given = details["input"]
    match details["type"]:
        case "extra_forbidden":
            known = _find_fields(model, tuple(parents))
            near = get_close_matches(str(field), known, n=1)
            advice = f"did you mean {near[0]}?" if near else "remove it"
            return f"unknown field; {advice}"
        case "missing":
            return "required; add it"
        case "string_pattern_mismatch":
            form = FORMS.get(context["pattern"], f"match {context['pattern']}")
            return f"must {form}, not {show_value(given)}"
        case "too_long" | "string_too_long" | "too_short" | "string_too_short":
            bound = {"max_length": "long: at most", "min_length": "short: at least"}
            (key,) = context.keys() & bound.keys()
            return f"too {bound[key]} {context[key]}"
        case "rule" | "prefix" | "address" | "duplicate" | "time":
            return escape(details["msg"])
        case _:
            message = re.sub("^(Input|Value) should", "must", details["msg"])
            is_plain = isinstance(given, (str, int, float)) or given is None
            return f"{message}, not {show_value(given)}" if is_plain else message


def escape(text: str) -> str:
    """Return a text with control characters escaped."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _find_fields(model: type[Model], path: Path) -> list[str]:
    """Return the names of fields that a mapping at this path may have."""
    schema = describe(model)
    for part in path:
        parts = schema if isinstance(part, int) else schema.get("properties", {})
        schema = parts.get("items" if isinstance(part, int) else part, {})
    return list(schema.get("properties", {}))
