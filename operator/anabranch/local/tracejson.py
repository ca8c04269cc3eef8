"""A trace as JSON, with all that its probes and replies say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anabranch.local.tracehops import TCP

if TYPE_CHECKING:
    from anabranch_engine import AliasPair, Annotation, Annotations, Probe, Reply, Trace


def encode_trace(
    trace: Trace, rule: dict[str, Any], known: Annotations | None = None
) -> dict[str, Any]:
    """Return a trace and the rule that it followed, as JSON has it.

    Times of day are microseconds since 1970, round-trip times microseconds. With
    ``known``, ``addresses`` has what is known about the addresses.
    """
    ttl, reason = trace.switch or (None, None)
    encoded = {
        "destination": str(trace.destination),
        "source": _encode(trace.source),
        "interface": trace.interface,
        "gateway": _encode(trace.gateway),
        **rule,
        "began_us": trace.began_us,
        "ended_us": trace.ended_us,
        "end": trace.end,
        "switch_ttl": ttl,
        "switch_reason": reason,
        "unsteady_ttls": trace.unsteady,
        "gone_ttls": trace.gone,
        "refusal": trace.refusal,
        "links": [
            {"near_ttl": near_ttl, "near": _encode(near), "far": _encode(far)}
            for near_ttl, near, far in trace.links
        ],
        "probes": [_encode_probe(probe) for probe in trace.probes],
    }
    if trace.aliases is not None:
        encoded["aliases"] = [_encode_pair(pair) for pair in trace.aliases]
        encoded["routers"] = [
            [str(address) for address in router] for router in trace.routers
        ]
        encoded["alias_probes"] = trace.alias_probes
    if known:
        replies = (probe.reply for probe in trace.probes)
        met = {reply.source for reply in replies if reply} | {trace.destination}
        encoded["addresses"] = {
            str(address): _encode_annotation(known.find(address))
            for address in sorted(met, key=int)
        }
    return encoded


def _encode_annotation(found: Annotation) -> dict[str, Any]:
    return {
        "asn": found.asn,
        "origins": found.origins,
        "as_name": found.as_name,
        "country": found.country,
        "ixp": found.ixp,
    }


def _encode_pair(pair: AliasPair) -> dict[str, Any]:
    return {
        "ttl": pair.ttl,
        "first": str(pair.first),
        "second": str(pair.second),
        "verdict": pair.verdict,
        "test": pair.test,
        "round": pair.round,
    }


def _encode_probe(probe: Probe) -> dict[str, Any]:
    return {
        "flow": probe.flow,
        "ttl": probe.ttl,
        "attempt": probe.attempt,
        "sent_us": probe.sent_us,
        "reply": _encode_reply(probe.reply) if probe.reply else None,
    }


def _encode_reply(reply: Reply) -> dict[str, Any]:
    is_tcp = reply.protocol == TCP
    return {
        "source": str(reply.source),
        "at_us": reply.at_us,
        "rtt_us": reply.rtt_us,
        "protocol": reply.protocol,
        "icmp_type": None if is_tcp else reply.kind,
        "icmp_code": None if is_tcp else reply.code,
        "tcp_flags": reply.kind if is_tcp else None,
        "is_end": reply.is_end,
        "ttl": reply.ttl,
        "tos": reply.tos,
        "id": reply.identification,
        "size": reply.size,
        "quoted_ttl": reply.quoted_ttl,
        "quoted_tos": reply.quoted_tos,
        "quoted_length": reply.quoted_length,
        "rewritten": reply.rewritten,
        "mpls_labels": [
            {"label": label, "exp": exp, "bos": bos, "ttl": ttl}
            for label, exp, bos, ttl in reply.labels
        ],
    }


def _encode(address: object) -> str | None:
    return None if address is None else str(address)
