"""The list job: reads a target list, checks it, and stores what can be used."""

from __future__ import annotations

import io
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from anabranch_engine import TargetListError

from anabranch.rounds.targets import read_content, read_entries
from anabranch.runs.report import ListReport, RefusedError
from anabranch.store.keys import shared_list

if TYPE_CHECKING:
    from anabranch.api.targetlist import TargetListSpec
    from anabranch.store.store import Store

_LENGTHS = (24, 64)
"""The IPv4 and IPv6 prefix lengths in which TargetList.status counts."""
_LENGTHS_OF_ROUTES = (24, 48)


def check_list(
    store: Store, spec: TargetListSpec, content: bytes | None, key: str
) -> ListReport:
    """Store a report on a list under a key, and the canonical form of the list.

    ``content`` is the content of the ConfigMap, if the list is in one.

    Raises:
        RefusedError: When the list's object is missing in the store.
    """
    report = _read(store, spec, content)
    store.put(key, json.dumps(asdict(report), indent=1).encode())
    return report


def _read(store: Store, spec: TargetListSpec, content: bytes | None) -> ListReport:
    stored = spec.place.object
    try:
        if spec.entries is not None:
            targets = read_entries(spec.entries)
        else:
            if stored is not None:
                content = store.get(stored.key)
            targets = read_content(spec, io.BytesIO(content or b""))
        split = targets.split(*(_LENGTHS_OF_ROUTES if spec.routes else _LENGTHS))
    except FileNotFoundError as error:
        missing = stored.key if stored else ""
        message = f"there is no object {missing!r} in the store; put it there"
        raise RefusedError(message) from error
    except TargetListError as error:
        return ListReport(problems=tuple(error.problems), problem_count=error.total)
    except ValueError as error:
        return ListReport(reason=str(error))
    canonical = io.BytesIO()
    targets.write_csv(canonical)
    digest = targets.digest()
    store.put(shared_list(digest), canonical.getvalue())
    return ListReport(digest, targets.lines, len(targets), len(split))
