"""What ConfigMaps say about the addresses that a survey finds."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from anabranch.cluster.objects import Place
from anabranch.store.keys import SurveyKeys
from theatre import operating, set_stage

if TYPE_CHECKING:
    from stage import Stage
    from theatre import Theatre

ROUTES = "0.0.0.0\t0\t64500\n::\t0\t64501\n"
MISSING = "there is no ConfigMap known, key gone in the namespace"


async def put_config_map(stage: Stage) -> None:
    """Makes the ConfigMap ``known``."""
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "known", "namespace": stage.namespace},
        "binaryData": {"routes": base64.b64encode(ROUTES.encode()).decode()},
    }
    folder = Place("ConfigMap", stage.namespace).path
    await stage.cluster.request("POST", folder, body=body)


def test_tables_say_what_a_config_map_says(theatre: Theatre) -> None:
    """As it is when the run has ended; one without the key costs no results."""

    async def act(stage: Stage) -> None:
        await put_config_map(stage)
        async with operating(stage):
            source = {"configMap": {"name": "known", "key": "routes"}}
            await set_stage(stage, annotateFrom=[source])
            found = await stage.wait_condition("survey", "Complete")
            keys = SurveyKeys(found["metadata"]["uid"], "1")
            stored = io.BytesIO(stage.store.get(keys.table("interfaces")))
            assert set(pq.read_table(stored)["asn"].to_pylist()) == {64500}
            source["configMap"]["key"] = "gone"
            spec = {"runId": "2", "annotateFrom": [source]}
            await stage.change("Measurement", "survey", **spec)

            def is_done(it: dict[str, Any]) -> bool:
                told = it["status"].get("conditions", ())
                ends = (each for each in told if each["type"] == "Complete")
                return any(MISSING in each["message"] for each in ends)

            await stage.wait("Measurement", "survey", is_done)

    theatre.play(act)
