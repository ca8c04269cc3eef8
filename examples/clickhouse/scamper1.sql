-- The archives of a measurement of connections, with the columns of M-Lab's table scamper1 in BigQuery
-- (measurement-lab.ndt_raw.scamper1), so that its queries run here. Put in place of ARCHIVES where they are:
--
--   s3('https://STORE/BUCKET/agents/**/archives/scamper1/**.tgz :: **.jsonl', 'KEY', 'SECRET', 'LineAsString', 'line String')
--   file('/var/lib/anabranch/agents/**/archives/scamper1/**.tgz :: **.jsonl', 'LineAsString', 'line String')
--
-- There are four columns that BigQuery has not, gaplimit, ftime, ipid and icmpext: M-Lab's program drops them.
CREATE OR REPLACE VIEW scamper1 AS
WITH
    JSONExtract(
        metadata_line,
        'Tuple(UUID String, TracerouteCallerVersion String, CachedResult Bool, CachedUUID String)'
    ) AS metadata,
    JSONExtract(
        start_line,
        'Tuple(type String, list_name String, id Float64, hostname String, start_time Float64)'
    ) AS cycle_start,
    JSONExtract(
        stop_line,
        'Tuple(type String, list_name String, id Float64, hostname String, stop_time Float64)'
    ) AS cycle_stop,
    JSONExtract(
        trace_line,
        'Tuple(type String, version String, userid Float64, method String, src String, dst String,
            start Tuple(sec Int64, usec Int64, ftime String), probe_size Float64, firsthop Float64, attempts Float64,
            confidence Float64, tos Float64, gaplimit Float64, wait_timeout Float64, wait_probe Float64,
            probec Float64, probec_max Float64, nodec Float64, linkc Float64,
            nodes Array(Tuple(addr String, name String, q_ttl Int64, linkc Int64,
                links Array(Array(Tuple(addr String, probes Array(Tuple(
                    tx Tuple(sec Int64, usec Int64), replyc Int64, ttl Int64, attempt Int64, flowid Int64,
                    replies Array(Tuple(rx Tuple(sec Int64, usec Int64), ttl Int64, rtt Float64, ipid Int64,
                        icmp_type Int64, icmp_code Int64, icmp_q_tos Int64, icmp_q_ttl Int64,
                        icmpext Array(Tuple(ie_cn Int64, ie_ct Int64, ie_dl Int64, mpls_labels Array(Tuple(
                            mpls_ttl Int64, mpls_s Int64, mpls_exp Int64, mpls_label Int64)))))))))))
            ))
        )'
    ) AS trace,
    -- BigQuery has no arrays of arrays: those in the middle are called Links there.
    arrayMap(
        node -> (
            node.addr,
            node.name,
            node.q_ttl,
            node.linkc,
            arrayMap(hop -> tuple(hop), node.links)
        ),
        trace.nodes
    ) AS nodes
SELECT
    metadata.UUID AS id,
    CAST(
        (archive, file),
        'Tuple(ArchiveURL String, Filename String)'
    ) AS parser,
    toDate(fromUnixTimestamp(toInt64(cycle_start.start_time)), 'UTC') AS date,
    CAST(
        (
            metadata,
            cycle_start,
            (
                trace.type, trace.version, trace.userid, trace.method, trace.src, trace.dst, trace.start,
                trace.probe_size, trace.firsthop, trace.attempts, trace.confidence, trace.tos,
                trace.gaplimit, trace.gaplimit, trace.wait_timeout, trace.wait_probe, trace.probec,
                trace.probec_max, trace.nodec, trace.linkc, nodes
            ),
            cycle_stop
        ),
        'Tuple(
            Metadata Tuple(UUID String, TracerouteCallerVersion String, CachedResult Bool, CachedUUID String),
            CycleStart Tuple(type String, list_name String, id Float64, hostname String, start_time Float64),
            Tracelb Tuple(type String, version String, userid Float64, method String, src String, dst String,
                start Tuple(sec Int64, usec Int64, ftime String), probe_size Float64, firsthop Float64, attempts Float64,
                confidence Float64, tos Float64, gaplint Float64, gaplimit Float64, wait_timeout Float64,
                wait_probe Float64, probec Float64, probec_max Float64, nodec Float64, linkc Float64,
                nodes Array(Tuple(addr String, name String, q_ttl Int64, linkc Int64,
                    links Array(Tuple(Links Array(Tuple(addr String, probes Array(Tuple(
                        tx Tuple(sec Int64, usec Int64), replyc Int64, ttl Int64, attempt Int64, flowid Int64,
                        replies Array(Tuple(rx Tuple(sec Int64, usec Int64), ttl Int64, rtt Float64, ipid Int64,
                            icmp_type Int64, icmp_code Int64, icmp_q_tos Int64, icmp_q_ttl Int64,
                            icmpext Array(Tuple(ie_cn Int64, ie_ct Int64, ie_dl Int64, mpls_labels Array(Tuple(
                                mpls_ttl Int64, mpls_s Int64, mpls_exp Int64, mpls_label Int64))))))))))))
                ))),
            CycleStop Tuple(type String, list_name String, id Float64, hostname String, stop_time Float64)
        )'
    ) AS raw
FROM
(
    SELECT
        _path AS archive,
        _file AS file,
        anyIf(line, JSONHas(line, 'UUID')) AS metadata_line,
        anyIf(line, JSONExtractString(line, 'type') = 'cycle-start') AS start_line,
        anyIf(line, JSONExtractString(line, 'type') = 'tracelb') AS trace_line,
        anyIf(line, JSONExtractString(line, 'type') = 'cycle-stop') AS stop_line
    FROM ARCHIVES
    GROUP BY archive, file
);
