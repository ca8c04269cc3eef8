"""`anabranch fakeroute`: test how often a multipath algorithm misses a link."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from anabranch.cli.command import write
from anabranch.cli.rule import add_rule_arguments, choose_failure_probability
from anabranch.cli.score import read_count
from anabranch.local.validation import FEWEST_SAMPLES, compare, summarise

if TYPE_CHECKING:
    import argparse

    from anabranch_engine import Sample, Trial

    from anabranch.cli.command import Commands
    from anabranch.local.validation import Comparison, Validation

_MOST_RUNS = 1 << 32
"""Runs are told apart by a number of 32 bits,"""
_MOST_PACKET_RUNS = 65_000
"""and on packets by the destination, an address of the simulator's."""
_COMPARED: tuple[tuple[str, str, int], ...] = (
    ("mda", "mda", 2),
    ("mda again", "mda", 2),
    ("mdaLite, phi 2", "mdaLite", 2),
    ("mdaLite, phi 4", "mdaLite", 4),
    ("mdaLocal, phi 2", "mdaLocal", 2),
    ("mdaLocal, phi 4", "mdaLocal", 4),
    ("singlePath", "singlePath", 2),
)
"""What is compared, as in Table 1 of the paper: its name, the algorithm, and phi."""
_DEFAULTS = {"algorithm": "mda", "phi": 2, "runs": 1000, "samples": 50}
"""The values of options that are not given."""
_PACKET_RUNS = 20
"""The runs in a sample on packets, which take longer."""
_IDLE = {
    "random": ("algorithm", "phi", "runs", "samples"),
    "compare": ("algorithm", "phi"),
    "command": ("algorithm", "phi"),
}
"""The options that have no effect with another one."""


def add_parser(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "fakeroute",
        help="test how often a multipath algorithm misses a link of a topology",
        description="Traces a topology many times, in the process and without packets "
        "unless --packets or --command asks for them, and compares how often a link is "
        "missed with what the stopping points predict, as Fakeroute does. Exits with 2 "
        "if the algorithm fails more often than that.",
    )
    parser.add_argument(
        "topology",
        nargs="?",
        type=Path,
        metavar="FILE",
        help="links from a vantage point to a destination, as Fakeroute has them",
    )
    way = parser.add_mutually_exclusive_group()
    way.add_argument(
        "--random",
        type=read_count,
        metavar="N",
        help="instead of a file, N topologies of one diamond, drawn as the simulated "
        "Internet draws them; compares the algorithms on them, a run each",
    )
    way.add_argument(
        "--compare",
        action="store_true",
        help="compare what the algorithms find and send with the MDA",
    )
    way.add_argument(
        "--packets",
        action="store_true",
        help="send packets, into a simulated network of its own; it takes root",
    )
    way.add_argument(
        "--command",
        metavar="COMMAND",
        help="put another tool to the test, on packets as well: {destinations} in the "
        "command stands for a file with destinations, one a line, and the command "
        "writes JSON as scamper's tracelb does",
    )
    add_rule_arguments(parser, "mda")
    parser.add_argument(
        "--runs",
        type=read_count,
        metavar="N",
        help="runs in a sample; 1000, on packets 20",
    )
    parser.add_argument(
        "--samples",
        type=read_count,
        metavar="N",
        help="the number of samples of --runs runs, 2 or more; 50",
    )
    parser.add_argument("--seed", type=read_count, default=1, metavar="S")
    parser.set_defaults(run=run, **dict.fromkeys(_DEFAULTS))


def run(chosen: argparse.Namespace) -> int:
    """Print the predicted and the measured failure; return 2 if it is too high."""
    try:
        _complete(chosen)
        failure = choose_failure_probability(chosen)
        if chosen.random:
            return _compare_random(chosen, failure)
        if chosen.compare:
            return _compare(chosen, failure)
        if chosen.packets or chosen.command is not None:
            return _validate_on_packets(chosen, failure)
        return _validate(chosen, failure)
    except BrokenPipeError:
        raise
    except PermissionError:
        message = "fakeroute makes namespaces to send packets in: run it as root"
        print(f"anabranch: {message}", file=sys.stderr)
        return 1
    except (OSError, ValueError) as error:
        print(f"anabranch: {error}", file=sys.stderr)
        return 1


def _complete(chosen: argparse.Namespace) -> None:
    """Give options that are left out their values.

    Raises:
        ValueError: If options contradict each other, or one has no effect.
    """
    if (chosen.topology is None) == (chosen.random is None):
        raise ValueError("name a topology file, or --random N")
    for mode in (mode for mode in _IDLE if getattr(chosen, mode) not in {None, False}):
        for option in _IDLE[mode]:
            if getattr(chosen, option) is not None:
                message = f"--{option} has no effect with --{mode}; leave it out"
                raise ValueError(message)
    sends = chosen.packets or chosen.command is not None
    if sends and chosen.runs is None:
        chosen.runs = _PACKET_RUNS
    for option, value in _DEFAULTS.items():
        if getattr(chosen, option) is None:
            setattr(chosen, option, value)
    most = _MOST_PACKET_RUNS if sends else _MOST_RUNS
    if chosen.samples < FEWEST_SAMPLES or chosen.runs * chosen.samples > most:
        message = (
            f"--samples must be {FEWEST_SAMPLES} or more, and all runs at most {most:,}"
        )
        raise ValueError(message)


def _validate(chosen: argparse.Namespace, failure: float) -> int:
    rule = _Rule(chosen.algorithm, chosen.phi, failure)
    trial = rule.prepare(chosen.topology, chosen.seed)
    has_rule = chosen.algorithm != "singlePath"
    found = summarise(
        _run(trial, chosen),
        chosen.runs,
        predicted=trial.predicted if has_rule else None,
        vertices=trial.vertices,
        edges=trial.edges,
    )
    head = _describe_trial(chosen, trial, chosen.algorithm, failure)
    write(head + _describe(found, with_verdict=has_rule))
    return 2 if found.is_broken else 0


def _validate_on_packets(chosen: argparse.Namespace, failure: float) -> int:
    # Extras, which other commands do without.
    from anabranch.local.packettrial import (  # noqa: PLC0415
        PacketTrial,
        name_tool,
        name_tracer,
    )

    rule = _Rule(chosen.algorithm, chosen.phi, failure)
    trial = rule.prepare(chosen.topology, chosen.seed)
    has_rule = chosen.algorithm != "singlePath"
    if chosen.command is None:
        tool = name_tracer(chosen.algorithm, failure, chosen.phi)
    else:
        tool = name_tool(chosen.command)
    links = {(str(near), str(far)) for near, far in trial.links}
    outcome = PacketTrial(
        chosen.topology, links, chosen.samples, chosen.runs, chosen.seed
    ).run(tool)
    if outcome.untraced:
        message = f"no trace of {outcome.untraced:,} destinations: they count as missed"
        print(f"anabranch: {message}", file=sys.stderr)
    if outcome.lost:
        message = f"the simulator could not keep up: it lost {outcome.lost:,} frames"
        print(f"anabranch: {message}", file=sys.stderr)
    found = summarise(
        outcome.samples,
        chosen.runs,
        predicted=trial.predicted if has_rule else None,
        vertices=trial.vertices,
        edges=len(links),
    )
    name = chosen.command or f"{chosen.algorithm} on packets"
    head = _describe_trial(chosen, trial, name, failure)
    write(head + _describe(found, with_verdict=has_rule))
    return 2 if found.is_broken else 0


def _compare(chosen: argparse.Namespace, failure: float) -> int:
    trials = {
        name: _Rule(algorithm, phi, failure).prepare(
            chosen.topology, chosen.seed + place
        )
        for place, (name, algorithm, phi) in enumerate(_COMPARED)
    }
    samples = {name: _run(trial, chosen) for name, trial in trials.items()}
    allowed = trials["mda"].predicted
    head = (
        f"{_describe_topology(chosen.topology, trials['mda'])}"
        f"failure probability of a vertex {failure:.5g}, "
        f"{chosen.samples * chosen.runs:,} runs, relative to the MDA"
        f"{_describe_allowed([allowed]) if allowed is not None else ''}\n"
    )
    write(head + _describe_comparison(compare(samples, chosen.runs)))
    return 0


def _compare_random(chosen: argparse.Namespace, failure: float) -> int:
    kinds: dict[str, dict[str, list[Sample]]] = {}
    predicted: dict[str, list[float]] = {}
    for seed in range(chosen.seed, chosen.seed + chosen.random):
        for place, (name, algorithm, phi) in enumerate(_COMPARED):
            trial = _Rule(algorithm, phi, failure).prepare(seed, seed + place)
            sample = trial.run(seed, 1)
            for kind in ("all", _classify(trial)):
                if name == "mda" and trial.predicted is not None:
                    predicted.setdefault(kind, []).append(trial.predicted)
                kinds.setdefault(kind, {}).setdefault(name, []).append(sample)
    write(
        f"random diamonds, failure probability of a vertex {failure:.5g}, a run each, "
        "relative to the MDA\n"
    )
    for kind, samples in kinds.items():
        allowed = _describe_allowed(predicted[kind])
        write(f"\n{kind}: {len(samples['mda']):,}{allowed}\n")
        write(_describe_comparison(compare(samples, 1)))
    return 0


@dataclass(frozen=True)
class _Rule:
    """What a trial puts to the test."""

    algorithm: str
    phi: int
    failure_probability: float

    def prepare(self, topology: Path | int, seed: int) -> Trial:
        """Prepare a trial. Trials of different seeds are independent."""
        from anabranch_engine import Trial  # noqa: PLC0415 (an extra)

        return Trial(
            topology,
            algorithm=self.algorithm,
            failure_probability=self.failure_probability,
            phi=self.phi,
            seed=seed,
        )


def _run(trial: Trial, chosen: argparse.Namespace) -> list[Sample]:
    starts = range(0, chosen.runs * chosen.samples, chosen.runs)
    return [trial.run(start, chosen.runs) for start in starts]


def _classify(trial: Trial) -> str:
    diamonds = trial.diamonds or []
    if any(diamond.meshed_ratio for diamond in diamonds):
        return "meshed"
    if any(diamond.width_asymmetry for diamond in diamonds):
        return "asymmetric"
    return "uniform and unmeshed"


def _describe_trial(
    chosen: argparse.Namespace, trial: Trial, name: str, failure: float
) -> str:
    return (
        f"{_describe_topology(chosen.topology, trial)}"
        f"{name}, failure probability of a vertex {failure:.5g}, "
        f"{chosen.samples} samples of {chosen.runs:,} runs\n"
    )


def _describe_topology(file: Path, trial: Trial) -> str:
    diamonds = "".join(
        f"diamond: length {diamond.max_length}, width {diamond.max_width}, "
        f"width asymmetry {diamond.width_asymmetry}, "
        f"meshed ratio {diamond.meshed_ratio:.2f}, "
        f"probability difference {diamond.probability_difference:.3f}\n"
        for diamond in trial.diamonds or ()
    )
    return f"{file}: {trial.vertices} interfaces, {trial.edges} links\n{diamonds}"


def _describe_allowed(predicted: list[float]) -> str:
    """Describe how many of the runs may miss a link, by the stopping points."""
    return f"; {fmean(predicted):.4f} may miss a link by the stopping points"


def _describe_comparison(rows: list[Comparison]) -> str:
    head = f"  {'':<16}{'interfaces':>11}{'links':>8}{'probes':>8}"
    lines = [f"{head}{'missed a link':>15}{'switched':>10}"]
    lines += [
        f"  {row.algorithm:<16}{row.vertices:>11.4f}{row.edges:>8.4f}{row.probes:>8.4f}"
        f"{row.missed:>15.4f}{row.switched:>10.4f}"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def _describe(found: Validation, *, with_verdict: bool) -> str:
    lowest, highest = found.interval(0.95)
    rows = {
        "missed a link": f"{found.mean:.5f}  (95 %: {lowest:.5f} to {highest:.5f})",
        "probes a run": f"{found.probes:.1f}",
        "interfaces found": f"{found.vertices:.4f}",
        "links found": f"{found.edges:.4f}",
    }
    if found.predicted is not None:
        rows = {"predicted": f"{found.predicted:.5f}", **rows}
    for reason, share in found.switches.items():
        rows[f"switched: {reason}"] = f"{share:.4f}"
    if with_verdict:
        rows["verdict"] = found.verdict
    return "".join(f"  {name:<26}{value}\n" for name, value in rows.items())
