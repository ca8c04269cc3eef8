"""Lists that are checked by a Job."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from devcluster.demo import Demo
    from devcluster.kubectl import Kubectl


LISTS = """
apiVersion: v1
kind: ConfigMap
metadata: {name: lists}
data:
  good: |
    240.0.0.0/23,udp,1,32,6
    240.0.4.1,icmp,1,32,6
  bad: |
    240.0.0.0/23,udp,1,32,6
    240.0.0.0/23,tcp,1,32,6
    240.0.0.1/23,udp,1,32,6
---
apiVersion: anabranch.dev/v1alpha1
kind: TargetList
metadata: {name: good}
spec: {configMap: {name: lists, key: good}}
---
apiVersion: anabranch.dev/v1alpha1
kind: TargetList
metadata: {name: bad}
spec: {configMap: {name: lists, key: bad}}
---
apiVersion: anabranch.dev/v1alpha1
kind: TargetList
metadata: {name: missing}
spec: {configMap: {name: elsewhere, key: list}}
"""


def test_a_list_says_what_it_holds_or_which_lines_are_wrong(
    installed: Demo, kubectl: Kubectl
) -> None:
    """And what it waits for, if what it names is not there."""
    assert installed
    kubectl.apply(LISTS)
    kubectl.wait("targetlist/good", "condition=Ready")
    good = kubectl.get("targetlist/good")["status"]
    assert (good["lines"], good["entries"], good["prefixes"]) == (2, 2, 3)
    assert good["digest"].startswith("sha256:")
    kubectl.wait("targetlist/bad", "condition=Stalled")
    bad = kubectl.get("targetlist/bad")["status"]
    assert [each["line"] for each in bad["problems"]] == [2, 3]
    reason = "jsonpath={.status.conditions[?(@.type=='Ready')].reason}"
    kubectl.wait("targetlist/missing", f"{reason}=ConfigMapMissing")
