"""Somebody who does what a page of the documentation says, in a cluster."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from devcluster.binaries import HELM, KUBE, build
from devcluster.demo import ROOT, SURVEY, VALUES
from devcluster.process import run_program, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable

_FORWARD_SECONDS = 20


def read_commands(page: Path) -> dict[str, list[str]]:
    """The commands of each section of a page: its indented lines."""
    sections: dict[str, list[str]] = {}
    text = re.sub(r"(?ms)^```.*?^```$", "", page.read_text())
    for section in re.split(r"(?m)^## ", text.replace("\\\n", ""))[1:]:
        title, _, body = section.partition("\n")
        sections[title] = re.findall(r"(?m)^    (\S.*)$", body)
    return sections


@dataclass(frozen=True)
class Reader:
    """Somebody who does what a page says, with a ``values.yaml`` of this cluster's."""

    folder: Path
    kubeconfig: Path

    @classmethod
    def sit_down(cls, folder: Path, kubeconfig: Path) -> Reader:
        """At a folder that looks like the project's, with a survey of one step."""
        for name in ("charts", "crds"):
            shutil.copytree(ROOT / name, folder / name)
        (folder / "values.yaml").symlink_to(VALUES)
        survey = list(yaml.safe_load_all(SURVEY.read_text()))
        for each in survey:
            if each["kind"] == "TargetList":
                each["spec"]["entries"] = [{"target": "240.0.0.0/22"}]
            elif each["kind"] == "Measurement":
                each["spec"]["yarrp"] = each["spec"].pop("diamondMiner")
        (folder / "survey.yaml").write_text(yaml.safe_dump_all(survey))
        (folder / "helm").symlink_to(build(HELM))
        kubectl = folder / "kubectl"
        kubectl.write_text(f'#!/bin/sh\nexec {build(KUBE)} kubectl "$@"\n')
        kubectl.chmod(0o755)
        return cls(folder, kubeconfig)

    @property
    def _environment(self) -> dict[str, str]:
        # kubectl finds its plugin on PATH, where pip has put it.
        path = (self.folder, Path(sys.executable).parent, os.environ["PATH"])
        return {
            "PATH": ":".join(map(str, path)),
            "KUBECONFIG": str(self.kubeconfig),
            "HOME": str(self.folder),
        }

    def do(self, commands: Iterable[str]) -> None:
        """Runs commands, each of which must succeed."""
        for command in commands:
            assert command.startswith(("helm ", "kubectl ")), command
            self._run(command)

    def do_in_one_shell(self, commands: Iterable[str]) -> None:
        """The same, of commands that need what those before have set.

        Those that end with & forward ports to the others.
        """
        words, log = [], self.folder / "forwarding"
        with contextlib.ExitStack() as stack:
            for command in commands:
                if command.endswith("&"):
                    forward = ["sh", "-euc", f"exec {command.removesuffix('&')}"]
                    stack.enter_context(run_program(forward, log, self._environment))
                    wait_until(
                        "the port",
                        lambda: "Forwarding from" in log.read_text(),
                        _FORWARD_SECONDS,
                    )
                else:
                    words.append(command)
            self._run("\n".join(words))

    def _run(self, command: str) -> None:
        done = subprocess.run(
            ("sh", "-euc", command),
            check=False,
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
