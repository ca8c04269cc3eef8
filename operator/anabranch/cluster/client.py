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
        with _told():
            limits = ClientTimeout(total=self.seconds)
            request = await self._prepare(method, path, query or {}, body, content)
            response = await self.client.call_api(*request, _request_timeout=limits)
            answer = await response.read()  # type: ignore[no-untyped-call]
        return _read_answer(response.status, answer)

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
                    _read_answer(response.status, await response.read())  # type: ignore[no-untyped-call]
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


def _read_answer(status: int, answer: bytes) -> dict[str, Any]:
    if status >= _ERRORS:
        try:
            message = json.loads(answer)["message"]
        except (ValueError, KeyError, TypeError):
            message = answer[:200].decode(errors="replace")
        raise RefusedError(status, message)
    read: dict[str, Any] = json.loads(answer)
    return read
