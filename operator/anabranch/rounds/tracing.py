"""How destinations are traced, and addresses compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anabranch_engine import TraceParameters

    from anabranch.api.tool import AliasResolution, Trace


def choose_parameters(tool: Trace, failure_probability: float) -> TraceParameters:
    """Return the parameters of traces.

    ``failure_probability`` is that of a branching point, or with maxBranching of a
    trace with so many.
    """
    # The operator itself does without the engine.
    from anabranch_engine import TraceParameters, Trial  # noqa: PLC0415

    if tool.max_branching:
        failure_probability = Trial.share_failure(
            failure_probability, tool.max_branching
        )
    return TraceParameters(
        algorithm=tool.chosen_algorithm,
        failure_probability=failure_probability,
        phi=tool.phi,
        per_packet_test=tool.per_packet_test,
        gap_limit=tool.gap_limit,
        attempts=tool.attempts,
        max_probes=tool.max_probes,
        wait_s=tool.chosen_wait,
        alias_rounds=tool.aliases.rounds if tool.aliases else None,
    )


def choose_comparison(
    tool: AliasResolution, failure_probability: float
) -> TraceParameters:
    """Return the parameters of alias resolution among lists of addresses.

    Where targets stand for lists, no path is traced, so the algorithm is the least.
    """
    # The operator itself does without the engine.
    from anabranch_engine import TraceParameters  # noqa: PLC0415

    return TraceParameters(
        algorithm="singlePath",
        failure_probability=failure_probability,
        alias_rounds=tool.rounds,
    )
