-- Who talks to whom, how much: connections and payload bytes each way for every pair of hosts.
CREATE TABLE conn_bytes AS
SELECT id.orig_h, id.resp_h, count(*) AS conns, sum(orig_bytes) AS sent, sum(resp_bytes) AS received, max(duration) AS longest
FROM conn
GROUP BY id.orig_h, id.resp_h;
