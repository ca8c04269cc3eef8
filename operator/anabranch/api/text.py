"""Types of texts and numbers with a fixed form: names, prefixes, times, rates."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    PlainSerializer,
)
from pydantic_core import PydanticCustomError

from anabranch.api.model import Rule

if TYPE_CHECKING:
    from pydantic.config import JsonDict

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"^{_LABEL}(\.{_LABEL})*$"
_TIME = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?"
    r"(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
)
"""RFC 3339, as Kubernetes writes it."""
_MAPPED_LEN = 96
"""Leading bits that all IPv4-mapped addresses share."""


def _read_prefix(text: str) -> str:
    """Check an address or prefix by the rules of the engine and of CEL's ``cidr``.

    The standard library alone would accept net masks, zones and leading zeros.
    """
    address, slash, length = text.partition("/")
    if slash and (not length.isdecimal() or str(int(length)) != length):
        raise _no_prefix(text)
    try:
        parsed = ip_address(address)
        ip_network(text, strict=False)
    except ValueError:
        raise _no_prefix(text) from None
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped:
            raise _is_mapped(text, parsed.ipv4_mapped, length)
        if parsed.scope_id:
            raise _no_prefix(text)
    if slash and (network := ip_network(text, strict=False))[0] != parsed:
        raise PydanticCustomError(
            "prefix",
            "{text} has host bits set; write {network} for the prefix or "
            "{address}/{bits} for the address",
            {
                "text": text,
                "network": str(network),
                "address": address,
                "bits": parsed.max_prefixlen,
            },
        )
    return text


def _no_prefix(text: str) -> PydanticCustomError:
    return PydanticCustomError(
        "prefix",
        "'{text}' is not an IP address or prefix; write one such as 192.0.2.0/24 or "
        "2001:db8::/48",
        {"text": text[:80]},
    )


def _is_mapped(text: str, v4: IPv4Address, length: str) -> PydanticCustomError:
    has_v4_length = length and int(length) >= _MAPPED_LEN
    remedy = f"{v4}/{int(length) - _MAPPED_LEN}" if has_v4_length else str(v4)
    return PydanticCustomError(
        "prefix",
        "{text} is IPv4 in IPv6 notation, not an IP address or prefix to probe; write "
        "{remedy}",
        {"text": text, "remedy": remedy},
    )


def _read_time(value: Any) -> Any:
    is_time = isinstance(value, datetime) or (
        isinstance(value, str) and re.fullmatch(_TIME, value)
    )
    if not is_time:
        raise PydanticCustomError(
            "time", "must be a time with its zone, such as 2026-12-01T00:00:00Z"
        )
    return value


def _write_time(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _address(bits: int, family: int) -> tuple[object, object]:
    def read(text: str) -> str:
        try:
            parsed = ip_address(text)
        except ValueError:
            parsed = None
        is_other = isinstance(parsed, IPv6Address) and (
            parsed.ipv4_mapped or parsed.scope_id
        )
        if parsed is None or parsed.version != family or is_other:
            raise PydanticCustomError(
                "address",
                "'{text}' is not an IPv{family} address",
                {"text": text, "family": family},
            )
        return text

    rule: JsonDict = {
        "rule": f"isIP(self) && ip(self).family() == {family}",
        "message": f"must be an IPv{family} address",
    }
    extra: JsonDict = {"x-kubernetes-validations": [rule]}
    return AfterValidator(read), Field(max_length=bits, json_schema_extra=extra)


DnsLabel = Annotated[str, Field(max_length=63, pattern=f"^{_LABEL}$")]
"""The name of an object, if it also serves as a label, a folder or a host name."""

DnsSubdomain = Annotated[str, Field(max_length=253, pattern=_SUBDOMAIN)]
"""The name of an object."""

AgentName = Annotated[str, Field(max_length=63, pattern=_SUBDOMAIN)]
"""The name of an Agent, which is also a label's value and a folder's name."""

LabelName = Annotated[
    str,
    Field(
        max_length=317,
        pattern=rf"^({_LABEL}(\.{_LABEL})*/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
    ),
]
"""The name of a label, with its prefix."""

LabelValue = Annotated[
    str, Field(max_length=63, pattern=r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$")
]
"""The value of a label."""

Prefix = Annotated[
    str,
    AfterValidator(_read_prefix),
    Field(
        max_length=43,
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "isIP(self) || "
                    "(isCIDR(self) && cidr(self) == cidr(self).masked())",
                    "message": "must be an IP address or a prefix without host bits, "
                    "such as 192.0.2.0/24 or 2001:db8::/48",
                }
            ]
        },
    ),
]
"""An IPv4 or IPv6 prefix without host bits, or an address."""

_READ_V4, _FIELD_V4 = _address(15, 4)
AddressV4 = Annotated[str, _READ_V4, _FIELD_V4]
"""An IPv4 address."""

_READ_V6, _FIELD_V6 = _address(39, 6)
AddressV6 = Annotated[str, _READ_V6, _FIELD_V6]
"""An IPv6 address."""

Digest = Annotated[str, Field(pattern="^sha256:[0-9a-f]{64}$", max_length=71)]
"""A SHA-256, in hexadecimal."""

ObjectKey = Annotated[
    str,
    Field(
        min_length=1, max_length=512, pattern=r"^[A-Za-z0-9_=+.:-][A-Za-z0-9_=+.:/-]*$"
    ),
]
"""A key in the object store, without a leading slash."""

_OWN_KEY = r"^(agents|cycles|shared|surveys)/|^lists/[^/]+/[^/]+[.]json$"
_NOT_OWN = (
    "must not be below agents/, cycles/, shared/ or surveys/, or a report below "
    "lists/: these are of surveys; put the object under another key"
)


def _refuse_own(key: str) -> str:
    if re.search(_OWN_KEY, key):
        raise PydanticCustomError("key", "{reason}", {"reason": _NOT_OWN})
    return key


_KEY_RULE: JsonDict = {"rule": f"!self.matches(r'{_OWN_KEY}')", "message": _NOT_OWN}
UserKey = Annotated[
    ObjectKey,
    AfterValidator(_refuse_own),
    Field(json_schema_extra={"x-kubernetes-validations": [_KEY_RULE]}),
]
"""The key of an object that a user put into the store: what it has of other surveys is
nobody's to read by a manifest."""

_FILE = "^(/[A-Za-z0-9_-][A-Za-z0-9._-]*){2,}$"
SocketPath = Annotated[str, Field(max_length=107, pattern=_FILE)]
"""The path of a unix socket, in a folder that is not the root."""

Timestamp = Annotated[
    AwareDatetime,
    BeforeValidator(_read_time),
    PlainSerializer(_write_time, return_type=str, when_used="json"),
    Field(strict=False, json_schema_extra={"pattern": _TIME}),
]
"""A time with its zone; written in UTC, in whole seconds."""

Rate = Annotated[int, Field(ge=1, le=100_000_000)]
"""A rate in probes a second."""

Ttl = Annotated[int, Field(ge=1, le=255)]
"""A time to live, or hop limit."""

Port = Annotated[int, Field(ge=1, le=65535)]
"""A UDP port."""

Seconds = Annotated[int, Field(ge=1, le=31_536_000)]
"""A duration of up to a year."""
WaitSeconds = Annotated[int, Field(ge=1, le=6)]
"""A wait for replies. The send time in a probe is only unambiguous for 6.5 s."""

RunId = Annotated[str, Field(min_length=1, max_length=32, pattern="^[a-z0-9.-]+$")]
"""The name of a run of a measurement."""
MAX_COUNT = 1 << 53
Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]
"""A count, up to the largest integer that every reader of JSON keeps exact."""

TTLS_IN_ORDER = Rule(
    lambda bounds: bounds.min_ttl <= bounds.max_ttl,
    "self.minTtl <= self.maxTtl",
    "minTtl must not be above maxTtl",
)
"""The rule for models that have both TTLs."""


def _cron_field(number: str, names: str = "") -> str:
    """Return the pattern of a field of cron: values, ranges, steps, lists of them."""
    value = f"({number}|{names})" if names else f"({number})"
    part = rf"(\*|{value}(-{value})?)(/[1-9][0-9]?)?"
    return f"{part}(,{part})*"


_MONTHS = "JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC"
_DAYS = "SUN|MON|TUE|WED|THU|FRI|SAT"
_CRON = "^(@(yearly|annually|monthly|weekly|daily|midnight|hourly)|{})$".format(
    " +".join(
        (
            _cron_field("[0-5]?[0-9]"),
            _cron_field("[01]?[0-9]|2[0-3]"),
            _cron_field("0?[1-9]|[12][0-9]|3[01]"),
            _cron_field("0?[1-9]|1[0-2]", f"{_MONTHS}|{_MONTHS.lower()}"),
            _cron_field("[0-6]", f"{_DAYS}|{_DAYS.lower()}"),
        )
    )
)
CronSchedule = Annotated[str, Field(max_length=256, pattern=_CRON)]
"""A schedule of cron, as Kubernetes' CronJobs have it."""
_ZONE = "^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$"
TimeZone = Annotated[str, Field(max_length=64, pattern=_ZONE)]
"""The name of a time zone of the IANA database."""

_CONTACT = "^[ -~]*(@|://)[ -~]*$"
Contact = Annotated[str, Field(min_length=3, max_length=64, pattern=_CONTACT)]
"""A contact: a URL or a mail address, in ASCII."""

FORMS = {
    f"^{_LABEL}$": "be lower-case letters, digits and inner -",
    _SUBDOMAIN: "be lower-case letters, digits and inner - and .",
    _FILE: "be the path of a file in a folder, without . and .. in it",
    _CONTACT: "be a URL or a mail address, in ASCII",
    _CRON: "be five fields of cron, such as 30 3 * * MON, or a word such as @daily",
    _ZONE: "be the name of a time zone, such as Europe/Paris",
}
"""What a text must do to match each pattern, in words."""
