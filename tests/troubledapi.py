"""A way to the API server on which requests meet trouble, drawn from a seed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml
from aiohttp import ClientError, ClientSession, ClientTimeout, web
from yarl import URL

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator
    from pathlib import Path

    from devcluster.apiserver import ApiServer

_REASONS = {429: "TooManyRequests", 500: "InternalError", 410: "Expired"}
WATCH_TROUBLES = ("429", "500", "gone", "stalled", "cut")
WRITE_TROUBLES = ("429", "500", "unheard")
READ_TROUBLES = ("429", "500")
SPARED = ("/leases", "/targetlists/list")
"""Parts of paths that meet no trouble: a lost Lease ends an operator, and Jobs read
target lists, whose failures Kubernetes looks after."""
_HOP = {"connection", "content-length", "transfer-encoding", "content-encoding"}
"""Headers that are about one connection alone."""


@dataclass
class TroubledApi:
    """What stands between a client and the API server."""

    server: ApiServer
    draw: random.Random
    share: float
    """Of how many requests meet trouble."""
    met: Counter[str] = field(default_factory=Counter)
    """How often there was which trouble."""
    calm: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once there is no more trouble."""
    _session: ClientSession | None = None

    @contextlib.asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        """Serves as long as a ``with`` lasts, at the URL that it gives."""
        context = ssl.create_default_context(cafile=str(self.server.certificate))
        runner = web.AppRunner(self._make_app(), access_log=None, shutdown_timeout=0.1)
        async with ClientSession(timeout=ClientTimeout(total=None)) as session:
            self._session = session
            self._context = context
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            try:
                yield f"http://127.0.0.1:{runner.addresses[0][1]}"
            finally:
                await runner.cleanup()

    def write_kubeconfig(self, file: Path, url: str) -> None:
        """Writes how a client gets there."""
        cluster, user = {"server": url}, {"token": self.server.token}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "troubled",
            "clusters": [{"name": "troubled", "cluster": cluster}],
            "users": [{"name": "troubled", "user": user}],
            "contexts": [
                {
                    "name": "troubled",
                    "context": {"cluster": "troubled", "user": "troubled"},
                }
            ],
        }
        file.write_text(yaml.safe_dump(config))

    def _make_app(self) -> web.Application:
        app = web.Application(client_max_size=1 << 26)
        app.router.add_route("*", "/{path:.*}", self._handle)
        return app

    def _choose(self, request: web.Request) -> str:
        """Which trouble a request meets, if any."""
        is_spared = any(part in request.path for part in SPARED)
        if self.calm.is_set() or is_spared or self.draw.random() > self.share:
            return ""
        kinds: tuple[str, ...] = WRITE_TROUBLES
        if request.query.get("watch") == "true":
            kinds = WATCH_TROUBLES
        elif request.method == "GET":
            kinds = READ_TROUBLES
        trouble = min(kinds, key=self.met.__getitem__)  # the rarest one so far
        self.met[trouble] += 1
        return trouble

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        trouble = self._choose(request)
        if trouble in {"429", "500"}:
            return web.json_response(_write_status(int(trouble)), status=int(trouble))
        if trouble == "gone":
            event = {"type": "ERROR", "object": _write_status(410)}
            return web.Response(text=json.dumps(event) + "\n")
        if trouble == "stalled":
            return await self._stall(request)
        return await self._pass_on(request, trouble)

    async def _stall(self, request: web.Request) -> web.StreamResponse:
        """A watch that says nothing, and does not end."""
        answer = web.StreamResponse()
        await answer.prepare(request)
        await self.calm.wait()
        return answer

    async def _pass_on(self, request: web.Request, trouble: str) -> web.StreamResponse:
        assert self._session
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _HOP}
        headers["Accept-Encoding"] = "identity"
        headers.pop("Host", None)
        url = URL(self.server.url + request.raw_path, encoded=True)
        body = await request.read() or None
        async with self._session.request(
            request.method, url, headers=headers, data=body, ssl=self._context
        ) as found:
            if trouble == "unheard":
                await found.read()
                return web.json_response(_write_status(500), status=500)
            kept = {k: v for k, v in found.headers.items() if k.lower() not in _HOP}
            answer = web.StreamResponse(status=found.status, headers=kept)
            await answer.prepare(request)
            with contextlib.suppress(ClientError, ConnectionError):
                async for piece in found.content.iter_any():
                    await answer.write(piece)
                    if trouble == "cut":
                        assert request.transport
                        request.transport.abort()
                        break
            return answer


def _write_status(code: int) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Status",
        "status": "Failure",
        "reason": _REASONS[code],
        "code": code,
        "message": "trouble that a test makes",
    }
