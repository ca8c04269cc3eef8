"""Texts and numbers with a form: names, prefixes, times, rates."""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, AwareDatetime, Field, PlainSerializer
from pydantic_core import PydanticCustomError

if TYPE_CHECKING:
    from pydantic.config import JsonDict

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"


def _read_prefix(text: str) -> str:
    """Checks an address or prefix by the rules of the engine and of CEL's ``cidr``.

    The standard library alone would let net masks, zones and leading zeros pass.
    """
    address, slash, length = text.partition("/")
    if slash and (not length.isdecimal() or str(int(length)) != length):
        raise _no_prefix(text)
    try:
        parsed = ip_address(address)
        ip_network(text, strict=False)
    except ValueError:
        raise _no_prefix(text) from None
    if isinstance(parsed, IPv6Address) and (parsed.ipv4_mapped or parsed.scope_id):
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
        {"text": text},
    )


def _write_time(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _address(bits: int, family: int) -> tuple[object, object]:
    def read(text: str) -> str:
        try:
            parsed = ip_address(text)
        except ValueError:
            parsed = None
        if parsed is None or parsed.version != family or "%" in text:
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
"""A name of an object whose name becomes a label, a folder or a host name."""

DnsSubdomain = Annotated[
    str, Field(max_length=253, pattern=rf"^{_LABEL}(\.{_LABEL})*$")
]
"""A name of an object."""

LabelName = Annotated[str, Field(min_length=1, max_length=317)]
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
"""A key in the object store, without a slash at its beginning."""

Timestamp = Annotated[
    AwareDatetime, PlainSerializer(_write_time, return_type=str, when_used="json")
]
"""A time with its zone; written in UTC by the second."""

Rate = Annotated[int, Field(ge=1, le=100_000_000)]
"""Probes a second."""

Ttl = Annotated[int, Field(ge=1, le=255)]
"""A time to live, or hop limit."""

Port = Annotated[int, Field(ge=1, le=65535)]
"""A UDP port."""

Seconds = Annotated[int, Field(ge=1, le=31_536_000)]
"""A duration of up to a year."""

Count = Annotated[int, Field(ge=0)]
"""How many there are."""
