"""What each kind accepts and refuses: one table for the models and the API server."""

from cases import connections, measurement, others, survey
from cases.case import Case, Manifest, Step, merge, minimal

CASES: list[Case] = [
    *measurement.CASES,
    *connections.CASES,
    *survey.CASES,
    *others.CASES,
]
STEPS: list[Step] = [*measurement.STEPS, *others.STEPS]

__all__ = ["CASES", "STEPS", "Case", "Manifest", "Step", "merge", "minimal"]
