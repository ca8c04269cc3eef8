"""Anabranch maps the multipath topology of the Internet.

``anabranch.open("anabranch-data", "demo").links`` is an Arrow table of what a survey
found; docs/python.md has more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from anabranch.warehouse.survey import Survey


def open(  # noqa: A001 (as in anabranch.open)
    location: str | PathLike[str],
    measurement: str,
    *,
    namespace: str = "default",
    run_id: str | None = None,
    annotate: Sequence[str | PathLike[str]] = (),
) -> Survey:
    """Open a survey: the run of a measurement in a directory or a bucket.

    ``location`` is the folder of ``anabranch run --data``, or ``s3://BUCKET/PREFIX``;
    the environment names credentials as for boto3, and in ``ANABRANCH_STORE_ENDPOINT``
    the S3, if it is not that of AWS. ``measurement`` is the Measurement's name, or in a
    cluster also its UID. ``annotate`` names files with what is known about addresses,
    the most trusted first; docs/annotation.md has their formats.

    Raises:
        LookupError: If there is no such run, or several and ``run_id`` is None.
        ValueError: If a file can't be used, with the place in it and the remedy.
    """
    # Nobody pays for ClickHouse and Arrow who only imports the package.
    from anabranch_engine import Annotations  # noqa: PLC0415

    from anabranch.warehouse.survey import open_survey  # noqa: PLC0415

    return open_survey(
        location,
        measurement,
        namespace=namespace,
        run_id=run_id,
        known=Annotations(annotate) if annotate else None,
    )
