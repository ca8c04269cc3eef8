"""`anabranch init`: write the manifest of a first survey from this machine."""

from __future__ import annotations

import fcntl
import socket
import struct
import sys
from ipaddress import IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING

from anabranch.api import Measurement, TargetList
from anabranch.cli.command import write

if TYPE_CHECKING:
    import argparse
    from ipaddress import IPv4Network, IPv6Network

    from anabranch.api.manifest import Manifests
    from anabranch.cli.command import Commands

FILE = Path("survey.yaml")
_SIOCGIFADDR = 0x8915
_ADDRESSES_V6 = Path("/proc/net/if_inet6")
_ANY_PORT = 9
"""A port for finding the route: connecting a UDP socket sends nothing."""


def add_parser(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "init",
        help="write the manifest of a first survey from this machine",
        description="Writes a commented manifest with everything that a survey from "
        "this machine needs. It allows the targets that you name and "
        "nothing else, at a modest rate. With --from-iris, it writes what a "
        "measurement of Iris asks for. The command sends nothing.",
    )
    parser.add_argument(
        "targets",
        nargs="*",
        metavar="TARGET",
        help="a prefix or an address to probe, such as 192.0.2.0/24",
    )
    parser.add_argument(
        "--from-iris",
        type=Path,
        metavar="FILE",
        help="instead of targets: the JSON that asks Iris for a measurement, or with "
        "which its API answers",
    )
    parser.add_argument(
        "--contact",
        metavar="CONTACT",
        help="a URL or mail address for people who wonder about your probes; if "
        "missing, the command asks for it on a terminal",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=FILE,
        metavar="FILE",
        help=f"a new file to write to, by default {FILE}",
    )
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Write the manifest, unless it would be invalid."""
    # Extras, which other commands do without.
    from anabranch.api.manifest import Source, read_manifests  # noqa: PLC0415

    try:
        text = _write(chosen)
    except ValueError as error:
        print(f"anabranch: {error}", file=sys.stderr)
        return 1
    manifests = read_manifests([Source(str(chosen.output), text.encode())])
    for problem in manifests.broken:
        print(f"anabranch: {problem}", file=sys.stderr)
    if manifests.broken:
        return 1
    try:
        with chosen.output.open("x") as file:
            file.write(text)
    except FileExistsError:
        message = f"{chosen.output} is there already; name another file with --output"
        print(f"anabranch: {message}", file=sys.stderr)
        return 1
    if chosen.from_iris:
        write(_tell_missing(chosen.output, manifests))
        return 0
    write(
        f"{chosen.output} is written; read it, then\n"
        f"    anabranch run --dry-run {chosen.output}\n"
        f"    anabranch run {chosen.output}\n"
    )
    return 0


def _write(chosen: argparse.Namespace) -> str:
    """Return the manifest that is asked for."""
    if bool(chosen.targets) == bool(chosen.from_iris):
        raise ValueError("name targets, or a measurement of Iris with --from-iris")
    return _convert(chosen.from_iris) if chosen.from_iris else _draft(chosen)


def _draft(chosen: argparse.Namespace) -> str:
    """Return the manifest of a first survey from this machine."""
    from anabranch.local.draft import Draft  # noqa: PLC0415 (an extra)

    targets = [_read_target(text) for text in chosen.targets]
    draft = Draft(
        contact=chosen.contact or _ask_contact(),
        targets=tuple(map(str, targets)),
        interfaces=tuple(_find_interfaces(targets)),
        is_reserved=_is_reserved(targets),
    )
    return draft.write()


def _convert(file: Path) -> str:
    """Return what a measurement of Iris asks for, as manifests."""
    from anabranch.local.iris import draft_from_iris  # noqa: PLC0415 (an extra)

    try:
        return draft_from_iris(file.read_bytes())
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error


def _tell_missing(output: Path, manifests: Manifests) -> str:
    """Return what the manifests of a measurement of Iris need besides."""
    lists = [each.object.spec.file for each in manifests.of_kind(TargetList)]
    (measurement,) = manifests.of_kind(Measurement)
    agents = [
        entry.name if entry.selector is None else f"those with the tag {entry.name}"
        for entry in measurement.object.spec.agents
    ]
    return (
        f"{output} is written. It needs besides\n"
        f"    target lists, beside it: {', '.join(map(str, lists))}\n"
        f"    Agents: {', '.join(agents)}\n"
        "    a ProbingPolicy\n"
    )


def _read_target(text: str) -> IPv4Network | IPv6Network:
    """Return a prefix, or an address as a prefix of full length."""
    try:
        return ip_network(text)
    except ValueError as error:
        message = f"{text!r} can't be probed: {error}; write one such as 192.0.2.0/24"
        raise ValueError(message) from error


def _ask_contact() -> str:
    if not sys.stdin or not sys.stdin.isatty():
        message = "say who probes: --contact with a URL or mail address"
        raise ValueError(message)
    return input("Who probes? A URL or mail address, for people who wonder: ").strip()


def _find_interfaces(
    targets: list[IPv4Network | IPv6Network],
) -> list[tuple[str, str]]:
    """Return the interface and source address for the first target of each IP version.

    Raises:
        ValueError: If no route leads to a target.
    """
    first = {target.version: target for target in reversed(targets)}
    return [_find_interface(first[version]) for version in sorted(first)]


def _find_interface(target: IPv4Network | IPv6Network) -> tuple[str, str]:
    family = socket.AF_INET if target.version == 4 else socket.AF_INET6  # noqa: PLR2004
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as asking:
            asking.connect((str(target.network_address), _ANY_PORT))
            address = asking.getsockname()[0]
    except OSError as error:
        message = f"no route leads to {target} from this machine: {error.strerror}"
        raise ValueError(f"{message}; add one, or name other targets") from error
    owners = [
        name
        for _, name in socket.if_nameindex()
        if ip_address(address) in _find_addresses(name, family)
    ]
    return (owners or ["an interface without an address"])[0], address


def _find_addresses(interface: str, family: int) -> list[object]:
    """Return the addresses of an interface: all IPv6 ones, or the first IPv4 one."""
    if family == socket.AF_INET6:
        lines = [line.split() for line in _ADDRESSES_V6.read_text().splitlines()]
        return [
            IPv6Address(bytes.fromhex(one[0])) for one in lines if one[5] == interface
        ]
    with socket.socket(family, socket.SOCK_DGRAM) as asking:
        request = struct.pack("256s", interface.encode())
        try:
            found = fcntl.ioctl(asking, _SIOCGIFADDR, request)
        except OSError:  # it has none
            return []
    return [ip_address(found[20:24])]


def _is_reserved(targets: list[IPv4Network | IPv6Network]) -> bool:
    """Return whether a target lies in space that is not globally reachable."""
    from anabranch_engine import PrefixSet  # noqa: PLC0415 (an extra)

    reserved = PrefixSet.reserved()
    return any(str(each) in reserved for each in targets)
