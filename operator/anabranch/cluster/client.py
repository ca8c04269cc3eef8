"""A client that sends plain requests to the API server."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import ClientError, ClientTimeout
from kubernetes.aio import config as kubernetes_config
from kubernetes.aio.client import ApiClient, Configuration

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

FORBIDDEN = 403
NOT_FOUND = 404
CONFLICT = 409
GONE = 410
INVALID = 422
_ERRORS = 400

JSON = "application/json"
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"


class RefusedError(Exception):
    """The API server's answer to a request that it refuses."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"the API server says {status}: {message}")
        self.status = status


class UnreachableError(Exception):
    """A failure to get an answer from the API server."""


@dataclass(frozen=True)
class Cluster:
    """A connection to the API server."""

    client: ApiClient
    seconds: float = 30
    """The longest time that an answer may take, in seconds."""

    @staticmethod
    async def connect(seconds: float = 30) -> Cluster:
        """Connect as ``KUBECONFIG`` says, or else as the pod's service account.

        Raises:
            kubernetes.aio.config.ConfigException: When there is neither.
        """
        configuration = Configuration()
        if file := os.environ.get("KUBECONFIG"):
            await kubernetes_config.load_kube_config(  # type: ignore[no-untyped-call]
                file, client_configuration=configuration
            )
        else:
            kubernetes_config.load_incluster_config(  # type: ignore[no-untyped-call]
                configuration
            )
        return Cluster(ApiClient(configuration), seconds)

    @staticmethod
    async def connect_user(
        kubeconfig: str | None, context: str | None, seconds: float = 30
    ) -> tuple[Cluster, str]:
        """Connect as ``kubectl`` does; also return the namespace of the context.

        Without ``kubeconfig``, the files count that kubectl looks for.

        Raises:
            kubernetes.aio.config.ConfigException: When there is no such file or
                context.
        """
        configuration = Configuration()
        await kubernetes_config.load_kube_config(  # type: ignore[no-untyped-call]
            kubeconfig,
            context=context,
            client_configuration=configuration,
            persist_config=False,
        )
        contexts, active = kubernetes_config.list_kube_config_contexts(kubeconfig)  # type: ignore[no-untyped-call]
        chosen = next((one for one in contexts if one["name"] == context), active)
        namespace = chosen["context"].get("namespace") or "default"
        return Cluster(ApiClient(configuration), seconds), namespace

    async def close(self) -> None:
        """Close the connection."""
        await self.client.close()  # type: ignore[no-untyped-call]

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content: str = JSON,
    ) -> dict[str, Any]:
        """Send a request, and return what the API server answers.

        Raises:
            RefusedError: When the API server refuses the request.
            UnreachableError: When there is no answer in time.
        """
        answer = await self._send(method, path, query, body, content)
        read: dict[str, Any] = json.loads(answer)
        return read

    async def read_text(self, path: str, query: Mapping[str, str]) -> str:
        """Return a text that the API server has, such as a log.

        Raises:
            RefusedError: When the API server refuses the request.
            UnreachableError: When there is no answer in time.
        """
        answer = await self._send("GET", path, query)
        return answer.decode(errors="replace")

    async def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content: str = JSON,
    ) -> bytes:
        with _told():
            limits = ClientTimeout(total=self.seconds)
            request = await self._prepare(method, path, query or {}, body, content)
            response = await self.client.call_api(*request, _request_timeout=limits)
            answer: bytes = await response.read()  # type: ignore[no-untyped-call]
        _check_answer(response.status, answer)
        return answer

    async def watch(
        self,
        path: str,
        query: Mapping[str, str],
        silence: float,
        opened: Callable[[], None],
    ) -> AsyncIterator[dict[str, Any]]:
        """Yield the events of a watch until it ends; call ``opened`` once it has begun.

        Raises:
            RefusedError: When the API server refuses the watch.
            UnreachableError: When it breaks, or nothing comes for ``silence`` seconds.
        """
        with _told():
            query = {**query, "watch": "true", "allowWatchBookmarks": "true"}
            limits = ClientTimeout(total=None, connect=self.seconds, sock_read=silence)
            request = await self._prepare("GET", path, query)
            response = await self.client.call_api(*request, _request_timeout=limits)
            stream = response.response
            try:
                if response.status >= _ERRORS:
                    _check_answer(response.status, await response.read())  # type: ignore[no-untyped-call]
                opened()
                while line := await stream.content.readline():
                    yield json.loads(line)
            finally:
                stream.close()

    async def _prepare(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Mapping[str, Any] | None = None,
        content: str = JSON,
    ) -> tuple[str, str, dict[str, str], Any, Any]:
        """Return the arguments of ``call_api``."""
        return await self.client.param_serialize(
            method,
            path,
            query_params=list(query.items()),
            header_params={"Accept": JSON, "Content-Type": content},
            body=body,
            auth_settings=["BearerToken"],
        )


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Raise any error of the connection as UnreachableError."""
    try:
        yield
    except (ClientError, OSError) as error:  # a timeout is an OSError
        reason = str(error) or type(error).__name__
        raise UnreachableError(f"the API server can't be reached: {reason}") from error


def _check_answer(status: int, answer: bytes) -> None:
    if status >= _ERRORS:
        try:
            message = json.loads(answer)["message"]
        except (ValueError, KeyError, TypeError):
            message = answer[:200].decode(errors="replace")
        raise RefusedError(status, message)
