"""kubectl, logged in to a cluster, in one of its namespaces."""

from __future__ import annotations

import contextlib
import json
import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from devcluster.binaries import KUBE, build
from devcluster.process import run_tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True)
class Kubectl:
    """What it is told of where to do something."""

    kubeconfig: Path
    namespace: str = ""
    """Where objects are that say no other; the default one."""
    user: str = ""
    """Whom to act as; the kubeconfig's by default."""

    def impersonate(self, service_account: str) -> Kubectl:
        """The same as a service account of the namespace."""
        user = f"system:serviceaccount:{self.namespace}:{service_account}"
        return replace(self, user=user)

    @contextlib.contextmanager
    def open_namespace(self) -> Iterator[Kubectl]:
        """The same in a namespace that is there as long as a ``with`` lasts."""
        name = f"test-{uuid.uuid4()}"
        self.run("create", "namespace", name)
        inside = replace(self, namespace=name)
        # Pods are refused until the namespace has it.
        inside.wait("serviceaccount/default", "create")
        yield inside
        self.run("delete", "namespace", name, "--wait=false", "--ignore-not-found")

    def list_words(self, *words: str) -> list[str]:
        """The whole command."""
        login = [f"--kubeconfig={self.kubeconfig}"]
        if self.namespace:
            login.append(f"--namespace={self.namespace}")
        if self.user:
            login.append(f"--as={self.user}")
        return [str(build(KUBE)), "kubectl", *login, *words]

    def run(self, *words: str, stdin: str | None = None) -> str:
        """What it says.

        Raises:
            RuntimeError: With its words, when it fails.
        """
        return run_tool(*self.list_words(*words), stdin=stdin)

    def apply(self, manifests: str) -> None:
        """Makes objects what YAML says."""
        options = ("--server-side", "--force-conflicts", "--filename=-")
        self.run("apply", *options, stdin=manifests)

    def get(self, *words: str) -> dict[str, Any]:
        """An object, or a list of some."""
        answer: dict[str, Any] = json.loads(self.run("get", *words, "--output=json"))
        return answer

    def list_pods(self, labels: str) -> list[dict[str, Any]]:
        """The pods with these labels that are not about to go, by name."""
        pods: list[dict[str, Any]] = self.get("pods", f"--selector={labels}")["items"]
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    def wait(self, what: str, condition: str, seconds: float = 60) -> None:
        """Wait for a condition, as ``kubectl wait --for`` does.

        Raises:
            RuntimeError: With the object's status, when the condition does not come.
        """
        try:
            self.run("wait", what, f"--for={condition}", f"--timeout={seconds:g}s")
        except RuntimeError as error:
            status = self.run("get", what, "--output=jsonpath={.status}")
            raise RuntimeError(f"{error}; its status: {status}") from error
