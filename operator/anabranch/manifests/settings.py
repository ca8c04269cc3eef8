"""What the operator is told by whoever installs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml
from kubernetes.utils.quantity import parse_quantity
from pydantic import AfterValidator, Field, ValidationError

from anabranch.api.model import Model, find_errors
from anabranch.api.text import DnsLabel, DnsSubdomain, LabelName, LabelValue, Port
from anabranch.warehouse.environment import NAME_PATTERN, URL_PATTERN

if TYPE_CHECKING:
    from pathlib import Path

PullPolicy = Literal["Always", "IfNotPresent", "Never"]
Resources = dict[str, dict[str, str]]
"""Kubernetes' ``ResourceRequirements``: limits and requests."""


def _count_bytes(quantity: str) -> int:
    return int(parse_quantity(quantity))  # type: ignore[no-untyped-call]


def _check_bytes(quantity: str) -> str:
    if _count_bytes(quantity) < 1:
        raise ValueError("must be above 0")
    return quantity


Quantity = Annotated[str, AfterValidator(_check_bytes)]
"""So many bytes, as Kubernetes writes it: 2Gi."""


class StoreSettings(Model):
    """Where the object store is."""

    bucket: Annotated[str, Field(min_length=3, max_length=63)]
    """The bucket; it is made if it is missing."""
    endpoint: str = ""
    """The URL of S3; AWS by default."""
    secret: str = ""
    """The Secret whose keys are boto3's variables, such as AWS_ACCESS_KEY_ID."""


class ClickHouseSettings(Model):
    """The server that runs the Jobs' SQL and has tables of what they find."""

    url: Annotated[str, Field(pattern=rf"^$|{URL_PATTERN}")] = ""
    """Its HTTP interface, without user and password; none by default."""
    database: Annotated[str, Field(pattern=NAME_PATTERN)] = "anabranch"
    """Where the tables are; it is made if it is missing."""
    secret: str = ""
    """The Secret with the keys username and password."""
    cluster: Annotated[str, Field(pattern=rf"^$|{NAME_PATTERN}")] = ""
    """The cluster that has the tables, of several servers."""


class BundleSettings(Model):
    """The certificates of CAs that the operator, Jobs and agents trust."""

    config_map: str = ""
    """The ConfigMap with them; the public ones by default."""
    key: Annotated[str, Field(min_length=1)] = "ca.crt"
    """Where it has them, in PEM."""


class JobSettings(Model):
    """The pods of Jobs."""

    image: str
    """The operator's own."""
    image_pull_policy: PullPolicy = "IfNotPresent"
    """When it is pulled."""
    service_account: DnsSubdomain = "anabranch-jobs"
    """Whom list jobs ask the API server as."""
    resources: Resources = {}
    """What a job may use."""
    node_selector: dict[LabelName, LabelValue] = {}
    """Which nodes take them."""
    tolerations: tuple[dict[str, Any], ...] = ()
    """Which taints of nodes they tolerate, as pods say it."""
    pod_labels: dict[LabelName, LabelValue] = {}
    """What they are labelled with besides."""
    pod_annotations: dict[LabelName, str] = {}
    """What they are annotated with."""
    active_deadline_seconds: Annotated[int, Field(ge=60)] = 86_400
    """How long one may take."""


class EnrolSettings(Model):
    """Nodes that become agents by a label."""

    label: LabelName
    """The label's name; its value must be ``true``."""
    labels: dict[LabelName, LabelValue] = {}
    """What the Agents are labelled with."""
    spec: dict[str, Any] = {}
    """The Agents' spec, but for nodeName."""


class AgentSettings(Model):
    """The pods of agents."""

    image: str
    """The agent's."""
    image_pull_policy: PullPolicy = "IfNotPresent"
    """When it is pulled."""
    service_account: DnsSubdomain = "anabranch-agent"
    """Whom agents ask the API server as."""
    privileged: bool = True
    """Whether they are; otherwise they may use NET_RAW and NET_ADMIN."""
    resources: Resources = {}
    """What an agent may use."""
    scratch_size_limit: Quantity = "2Gi"
    """How much an agent may keep for the store, while that is away."""
    priority_class_name: str = ""
    """Their PriorityClass."""
    health_port: Port = 9465
    """Where they listen on their nodes' addresses."""
    pod_labels: dict[LabelName, LabelValue] = {}
    """What they are labelled with besides."""
    pod_annotations: dict[LabelName, str] = {}
    """What they are annotated with."""
    enrol: EnrolSettings | None = None
    """Nodes that become agents by a label."""

    @property
    def waiting_bytes(self) -> int:
        """How much of the scratch space parts may take that wait for the store.

        The other half is for plans, and for parts that are being written.
        """
        return _count_bytes(self.scratch_size_limit) // 2


class Settings(Model):
    """All of it."""

    namespace: DnsLabel
    """The system namespace: of Agents, the ProbingPolicy, agent pods and Jobs."""
    watch_namespaces: tuple[DnsLabel, ...] = ()
    """Where measurements are served; everywhere by default."""
    store: StoreSettings
    """Where the object store is."""
    clickhouse: ClickHouseSettings = ClickHouseSettings()
    """The server that runs the Jobs' SQL."""
    ca_bundle: BundleSettings = BundleSettings()
    """The certificates of CAs that are trusted."""
    jobs: JobSettings
    """The pods of Jobs."""
    agents: AgentSettings
    """The pods of agents."""

    @property
    def served_namespaces(self) -> tuple[str, ...]:
        """Where Measurements are served, the system namespace too; none is all."""
        if not self.watch_namespaces:
            return ()
        return tuple(dict.fromkeys((*self.watch_namespaces, self.namespace)))


class SettingsError(ValueError):
    """What is wrong with the settings, with the remedy."""


def read_settings(file: Path) -> Settings:
    """The settings in a YAML file.

    Raises:
        OSError: When it can't be read.
        SettingsError: When it is not there, or not right, with all that is wrong.
    """
    try:
        return Settings.read(yaml.safe_load(file.read_text()))
    except FileNotFoundError as error:
        raise SettingsError(
            f"{file} is not there; run this in the operator's pod, or name its settings"
        ) from error
    except yaml.YAMLError as error:
        raise SettingsError(f"{file} is no YAML: {error}") from error
    except ValidationError as error:
        told = (
            f"{file}: {'.'.join(map(str, each['loc'])) or 'all of it'}: {each['msg']}"
            for each in find_errors(error)
        )
        raise SettingsError("\n".join(told)) from error
