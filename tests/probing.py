"""A prober as a command, for the namespaces of a simulation: options as JSON."""

from __future__ import annotations

import json
import signal
import sys
import time
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from anabranch_engine import Plan, PrefixSet, Prober, Statistics, TargetList

SPORT, DPORT = 24000, 33434
COUNTERS = (
    *("sent", "unsent", "forbidden", "unroutable", "replies", "foreign"),
    *("forged", "unplanned", "late", "excess", "dropped", "stalled_us"),
)


def write_plan(path: Path, lines: list[str], **changes: Any) -> Plan:
    """The plan of a first round over the lines of a target list."""
    list_path = path.with_suffix(".csv")
    list_path.write_text("".join(f"{line}\n" for line in lines))
    with list_path.open("rb") as file:
        targets = TargetList.read(file).split(24, 64)
    header: dict[str, Any] = {
        "initial_source_port": SPORT,
        "destination_port": DPORT,
        "flow_mapper": "RandomFlowMapper",
        "seed": 42,
        "order_seed": 1,
    }
    return Plan.write(path, targets, **header | changes)


def command(plan: Plan, parts: Path, **options: Any) -> list[str]:
    """What probes in a simulation: its output is the statistics as JSON.

    ``then`` is what is changed after the first second: rate, max_rate_per_prefix,
    forbidden or stop; ``changed_at`` in the output says when the prober had taken it,
    in seconds since 1970. ``begin`` has pairs of a block and a slot.
    """
    usual = {
        "order": "test",
        "round_number": 1,
        "rate": 1000,
        "max_rate_per_prefix": 100,
        "forbidden": [],
        "wait_seconds": 0.5,
    }
    all_of_it = json.dumps(usual | options)
    return [sys.executable, __file__, str(plan.path), str(parts), all_of_it]


def main() -> None:
    """Probes until the end, or a SIGTERM."""
    plan, parts, options = Plan(Path(sys.argv[1])), Path(sys.argv[2]), sys.argv[3]
    given = json.loads(options)
    given["forbidden"] = PrefixSet(given["forbidden"])
    given["sources"] = [ip_address(source) for source in given.pop("sources", [])]
    given["begin"] = {int(block): slot for block, slot in given.pop("begin", [])}
    then = given.pop("then", {})
    prober = Prober(plan, parts, **given)
    signal.signal(signal.SIGTERM, lambda *_: prober.stop())
    changed_at = 0.0

    def change(_: Statistics) -> None:
        nonlocal changed_at
        for what, value in then.items():
            match what:
                case "rate":
                    prober.set_rate(value)
                case "max_rate_per_prefix":
                    prober.set_max_rate_per_prefix(value)
                case "forbidden":
                    prober.forbid(PrefixSet(value))
                case "stop":
                    prober.stop()
                case _:
                    raise ValueError(what)
        changed_at = changed_at or time.time()
        then.clear()

    statistics = prober.run(change, 1.0)
    told = {name: getattr(statistics, name) for name in COUNTERS}
    told["changed_at"] = changed_at
    sys.stdout.write(
        f"{json.dumps(told)}\n"
    )  # at once: others may write to the same pipe


if __name__ == "__main__":
    main()
