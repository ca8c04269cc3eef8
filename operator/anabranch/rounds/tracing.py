"""How destinations are traced."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anabranch_engine import TraceParameters

    from anabranch.api.tool import Trace


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
