"""A session with a cluster: whose it is, and the words for what goes wrong."""

from __future__ import annotations

import asyncio
import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from kubernetes.aio.config import ConfigException
from pydantic import ValidationError

from anabranch.cluster.client import (
    FORBIDDEN,
    Cluster,
    RefusedError,
    UnreachableError,
)
from anabranch.cluster.objects import Objects, Place, read_object

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable, Iterable

    from anabranch.api import Resource

    Kind = TypeVar("Kind", bound=Resource)
    Answer = TypeVar("Answer")

SYSTEM = "anabranch-system"
FIELD_MANAGER = "kubectl-anabranch"
"""Whose the fields are that people change by this program."""


class PluginError(RuntimeError):
    """A refusal that says what to do instead."""


@dataclass(frozen=True)
class Session:
    """A connection to a cluster, and the namespaces that it is about."""

    objects: Objects
    namespace: str
    system: str
    """The namespace of the operator, the Agents and the ProbingPolicy."""

    async def find(self, kind: type[Kind], name: str) -> Kind:
        """Return the object of a name in the session's namespace.

        Raises:
            PluginError: When there is none, with names that are like it.
        """
        if (found := await self.look_up(kind, name)) is not None:
            return found
        known = [each.metadata.name for each in await self.list_objects(kind)]
        what = f"{kind.__name__} {name!r} in namespace {self.namespace}"
        raise PluginError(f"there is no {what}; {suggest(name, known)}")

    async def look_up(self, kind: type[Kind], name: str) -> Kind | None:
        """Return the object of a name in the session's namespace, or None."""
        found = await self.objects.get(Place(kind.__name__, self.namespace, name))
        return None if found is None else read(kind, found)

    async def list_objects(
        self, kind: type[Kind], *, namespace: str | None = None, selector: str = ""
    ) -> list[Kind]:
        """Return the objects of a kind, by name.

        They are of the session's namespace by default, and of all namespaces if
        ``namespace`` is the empty string.
        """
        found = await self.list_bodies(kind.__name__, namespace, selector)
        return sorted((read(kind, each) for each in found), key=lambda one: one.key)

    async def list_bodies(
        self, kind: str, namespace: str | None = None, selector: str = ""
    ) -> list[dict[str, Any]]:
        """Return the objects of a kind as the API server has them."""
        where = self.namespace if namespace is None else namespace
        return await self.objects.list(Place(kind, where), selector)

    async def try_list(
        self, kind: type[Kind], *, namespace: str, selector: str = ""
    ) -> list[Kind] | None:
        """Return the objects of a kind, or None if the user may not list them."""
        try:
            return await self.list_objects(kind, namespace=namespace, selector=selector)
        except RefusedError as error:
            if error.status == FORBIDDEN:
                return None
            raise


def read(kind: type[Kind], body: dict[str, Any]) -> Kind:
    """Read an object of the API server.

    Raises:
        PluginError: When this version of the program can't.
    """
    try:
        return read_object(kind, body)
    except ValidationError as error:
        place = f"{kind.__name__} {body['metadata']['name']}"
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise PluginError(
            f"{place} can't be read ({where}: {first['msg']}); the cluster has another "
            "version of Anabranch, so install the same one here"
        ) from error


def suggest(name: str, known: Iterable[str]) -> str:
    """Return what else there is, the likeliest first, as the end of a sentence."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if near:
        return f"did you mean {' or '.join(near)}?"
    shown = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")  # noqa: PLR2004
    return f"there are: {shown}" if names else "there is none at all"


def explain_refusal(error: RefusedError) -> str:
    """Return what to do about an answer of the API server."""
    text = str(error)
    match error.status:
        case 401:
            return f"{text}; log in again, or choose another --context"
        case 403:
            return f"{text}; ask an admin of the cluster for this right"
        case 404 if "could not find the requested resource" in text:
            return (
                "the cluster does not know the kinds of Anabranch; install the chart, "
                "or choose another --context"
            )
        case 409:
            return f"{text}; somebody else changed it meanwhile, so try again"
        case _:
            return text


def add_connection_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say which cluster and which namespaces are meant."""
    group = parser.add_argument_group("cluster")
    group.add_argument(
        "-n",
        "--namespace",
        help="the namespace; by default that of the kubeconfig's context",
    )
    group.add_argument("--context", help="the context of the kubeconfig")
    group.add_argument(
        "--kubeconfig",
        metavar="FILE",
        help="the kubeconfig; by default as kubectl finds it",
    )
    group.add_argument(
        "--system-namespace",
        default=SYSTEM,
        metavar="NAME",
        help=f"the namespace of the operator, by default {SYSTEM}",
    )


def converse(
    chosen: argparse.Namespace, talk: Callable[[Session], Awaitable[Answer]]
) -> Answer:
    """Connect as the arguments say, and return what the conversation gives.

    Raises:
        PluginError: When the cluster can't be reached, or refuses something.
    """
    return asyncio.run(_converse(chosen, talk))


async def _converse(
    chosen: argparse.Namespace, talk: Callable[[Session], Awaitable[Answer]]
) -> Answer:
    try:
        cluster, namespace = await Cluster.connect_user(
            chosen.kubeconfig, chosen.context
        )
    except (ConfigException, OSError) as error:
        raise PluginError(
            f"no cluster: {error}; name a kubeconfig by --kubeconfig or KUBECONFIG, "
            "and one of its contexts by --context"
        ) from error
    try:
        return await talk(
            Session(
                Objects(cluster),
                chosen.namespace or namespace,
                chosen.system_namespace,
            )
        )
    except RefusedError as error:
        raise PluginError(explain_refusal(error)) from error
    except UnreachableError as error:
        raise PluginError(
            f"{error}; see whether kubectl get nodes answers, or choose another "
            "--context"
        ) from error
    finally:
        await cluster.close()
