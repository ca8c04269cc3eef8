"""The operator does its work whatever the API server answers."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from theatre import operating, set_stage
from troubledapi import READ_TROUBLES, WATCH_TROUBLES, WRITE_TROUBLES, TroubledApi

if TYPE_CHECKING:
    from devcluster.apiserver import ApiServer
    from stage import Stage
    from theatre import Theatre

SHARE = 0.1


@pytest.mark.survival
def test_a_survey_outlives_what_the_api_server_answers(
    theatre: Theatre, apiserver: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Errors, writes that count though it says otherwise, and watches that break."""
    monkeypatch.setattr("anabranch.control.watch._SILENT_SECONDS", 5.0)
    seen: list[dict[str, Any]] = []

    async def undisturbed(stage: Stage) -> None:
        async with operating(stage):
            await set_stage(stage)
            seen.append(await stage.finish())

    async def troubled(stage: Stage) -> None:
        api = TroubledApi(apiserver, random.Random(1), SHARE)  # noqa: S311 (no secret)
        async with api.serve() as url:
            file = theatre.folder / "troubled"
            api.write_kubeconfig(file, url)
            monkeypatch.setenv("KUBECONFIG", str(file))
            async with operating(stage):
                await set_stage(stage)
                seen.append(await stage.finish())
                api.calm.set()
        met = {*READ_TROUBLES, *WRITE_TROUBLES, *WATCH_TROUBLES}
        assert api.met.keys() == met

    theatre.play(undisturbed)
    theatre.renew().play(troubled)
    assert seen == [seen[0]] * 2
