"""Tells over HTTP whether the operator is alive and ready, and its metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

if TYPE_CHECKING:
    from collections.abc import Callable

    from prometheus_client import CollectorRegistry


@dataclass(frozen=True)
class Health:
    """The answers about the operator's health."""

    find_sickness: Callable[[], str]
    """Why a restart would help; nothing if all is well."""
    find_hindrance: Callable[[], str]
    """What the operator waits for before it can do its work; nothing if it can."""
    registry: CollectorRegistry
    """The operator's metrics."""

    async def serve(self, port: int) -> web.AppRunner:
        """Serve /healthz, /readyz and /metrics until the runner is cleaned up.

        Raises:
            OSError: When the port is taken.
        """

        async def tell_health(_: web.Request) -> web.Response:
            return _answer(self.find_sickness())

        async def tell_readiness(_: web.Request) -> web.Response:
            return _answer(self.find_hindrance())

        async def tell_metrics(_: web.Request) -> web.Response:
            text = generate_latest(self.registry)
            return web.Response(
                body=text, headers={"Content-Type": CONTENT_TYPE_LATEST}
            )

        app = web.Application()
        app.router.add_get("/healthz", tell_health)
        app.router.add_get("/readyz", tell_readiness)
        app.router.add_get("/metrics", tell_metrics)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, port=port).start()
        return runner


def _answer(trouble: str) -> web.Response:
    return web.Response(text=trouble or "ok", status=503 if trouble else 200)
