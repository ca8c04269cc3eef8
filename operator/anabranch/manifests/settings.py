"""The operator's settings, which come from whoever installs it."""

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
"""A number of bytes as Kubernetes writes it, such as 2Gi."""


class StoreSettings(Model):
    """Where the object store is."""

    bucket: Annotated[str, Field(min_length=3, max_length=63)]
    """The bucket; it is made if it is missing."""
    endpoint: str = ""
    """The URL of S3; AWS by default."""
    secret: str = ""
    """The Secret whose keys are boto3's variables, such as AWS_ACCESS_KEY_ID."""
    agent_secret: Annotated[str, Field(pattern=r"^$|\{agent\}")] = ""
    """The same of an agent alone, with its name for ``{agent}``; the one above by
    default."""
    is_gateway: bool = False
    """Whether the store is versitygw with the secret's user as its root. Then the
    operator makes a user and a Secret for each agent."""
    generation: str = ""
    """Which key of the root agents' keys come from; the operator fills it in."""

    @property
    def confines_agents(self) -> bool:
        """Whether agents have credentials of their own."""
        return self.is_gateway or bool(self.agent_secret)


class ClickHouseSettings(Model):
    """The server that runs the Jobs' SQL and has tables of their results."""

    url: Annotated[str, Field(pattern=rf"^$|{URL_PATTERN}")] = ""
    """Its HTTP interface, without user and password; none by default."""
    database: Annotated[str, Field(pattern=NAME_PATTERN)] = "anabranch"
    """The database with the tables; it is made if it is missing."""
    secret: str = ""
    """The Secret with the keys username and password."""
    cluster: Annotated[str, Field(pattern=rf"^$|{NAME_PATTERN}")] = ""
    """The cluster of servers that has the tables, if there are several servers."""


class BundleSettings(Model):
    """The certificates of CAs that the operator, Jobs and agents trust."""

    config_map: str = ""
    """The ConfigMap with the certificates; by default, public CAs are trusted."""
    key: Annotated[str, Field(min_length=1)] = "ca.crt"
    """The key of the ConfigMap that has them, in PEM."""


class JobSettings(Model):
    """The pods of Jobs."""

    image: str
    """The image of the operator."""
    image_pull_policy: PullPolicy = "IfNotPresent"
    """When the image is pulled."""
    service_account: DnsSubdomain = "anabranch-jobs"
    """The service account with which list jobs ask the API server."""
    resources: Resources = {}
    """The resources that a Job may use."""
    node_selector: dict[LabelName, LabelValue] = {}
    """The labels of nodes that may run them."""
    tolerations: tuple[dict[str, Any], ...] = ()
    """The taints of nodes that they tolerate, as in a pod's spec."""
    pod_labels: dict[LabelName, LabelValue] = {}
    """Additional labels of the pods."""
    pod_annotations: dict[LabelName, str] = {}
    """The annotations of the pods."""
    active_deadline_seconds: Annotated[int, Field(ge=60)] = 86_400
    """How many seconds a Job may take."""
    parallelism: Annotated[int, Field(ge=1, le=100)] = 4
    """How many pods may share the work on a step of many replies."""


class EnrolSettings(Model):
    """Nodes that become agents by a label."""

    label: LabelName
    """The label's name; its value must be ``true``."""
    labels: dict[LabelName, LabelValue] = {}
    """The labels of the Agents."""
    spec: dict[str, Any] = {}
    """The spec of the Agents, without nodeName."""


class AgentSettings(Model):
    """The pods of agents."""

    image: str
    """The image of the agent."""
    image_pull_policy: PullPolicy = "IfNotPresent"
    """When the image is pulled."""
    service_account: DnsSubdomain = "anabranch-agent"
    """The service account with which agents ask the API server."""
    privileged: bool = True
    """Whether the pods are privileged; if not, they get NET_RAW and NET_ADMIN."""
    resources: Resources = {}
    """The resources that an agent may use."""
    scratch_size_limit: Quantity = "2Gi"
    """The size of an agent's scratch space, which keeps plans and parts."""
    priority_class_name: str = ""
    """Their PriorityClass."""
    health_port: Port = 9465
    """The port on which they listen at their nodes' addresses."""
    pod_labels: dict[LabelName, LabelValue] = {}
    """Additional labels of the pods."""
    pod_annotations: dict[LabelName, str] = {}
    """The annotations of the pods."""
    enrol: EnrolSettings | None = None
    """Nodes that become agents by a label."""

    @property
    def waiting_bytes(self) -> int:
        """How many bytes of scratch space the parts that wait for the store may take.

        The other half is for plans, and for parts that are being written.
        """
        return _count_bytes(self.scratch_size_limit) // 2


class Settings(Model):
    """All settings of the operator."""

    namespace: DnsLabel
    """The system namespace: of Agents, the ProbingPolicy, agent pods and Jobs."""
    watch_namespaces: tuple[DnsLabel, ...] = ()
    """The namespaces in which measurements are served; all by default."""
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
        """The namespaces that are served, including the system one; empty for all."""
        if not self.watch_namespaces:
            return ()
        return tuple(dict.fromkeys((*self.watch_namespaces, self.namespace)))


class SettingsError(ValueError):
    """An error in the settings, with the remedy."""


def read_settings(file: Path) -> Settings:
    """Read the settings from a YAML file.

    Raises:
        OSError: When the file can't be read.
        SettingsError: When the file is missing or invalid, with all that is wrong.
    """
    try:
        return Settings.read(yaml.safe_load(file.read_text()))
    except FileNotFoundError as error:
        raise SettingsError(
            f"{file} is not there; run this in the operator's pod, or name its settings"
        ) from error
    except yaml.YAMLError as error:
        raise SettingsError(f"{file} is not valid YAML: {error}") from error
    except ValidationError as error:
        told = (
            f"{file}: {'.'.join(map(str, each['loc'])) or 'all of it'}: {each['msg']}"
            for each in find_errors(error)
        )
        raise SettingsError("\n".join(told)) from error
