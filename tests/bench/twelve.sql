-- Twelve tables that somebody who watches a network keeps over its dns log. Each has n, the records of a row; what n adds up
-- to is known where a table takes all records, see many.go.

CREATE TABLE domains AS
SELECT id.orig_h, registered_domain(query) AS domain, qtype_name, count(*) AS n, min(ts) AS first_seen, max(ts) AS last_seen
FROM dns WHERE query <> '' AND query NOT LIKE '%.local' GROUP BY id.orig_h, domain, qtype_name;

-- Tunnels: domains with many names below them.
CREATE TABLE tunnels AS
SELECT registered_domain(query) AS domain, approx_count_distinct(query) AS names, approx_count_distinct(id.orig_h) AS hosts, avg(length(query)) AS length,
  count(*) FILTER (WHERE qtype_name IN ('TXT', 'NULL', 'CNAME')) AS odd, count(*) AS n
FROM dns GROUP BY domain;

-- Generated domains: hosts that are often told that a name does not exist.
CREATE TABLE missing AS
SELECT id.orig_h, window_start, count(*) AS n, count(*) FILTER (WHERE rcode_name = 'NXDOMAIN') AS nx, approx_count_distinct(query) AS names
FROM dns WINDOW TUMBLING (SIZE 10 MINUTES) GROUP BY id.orig_h HAVING count(*) FILTER (WHERE rcode_name = 'NXDOMAIN') >= 5;

CREATE TABLE answers AS
SELECT rcode_name, qtype_name, count(*) AS n, avg(rtt) AS rtt, max(rtt) AS slowest FROM dns GROUP BY rcode_name, qtype_name;

CREATE TABLE resolvers AS
SELECT id.orig_h, id.resp_h, proto, count(*) AS n, sum(rtt) AS waited FROM dns GROUP BY id.orig_h, id.resp_h, proto;

CREATE TABLE talkers AS
SELECT id.orig_h, window_start, count(*) AS n FROM dns WINDOW TUMBLING (SIZE 1 HOUR) GROUP BY id.orig_h;

CREATE TABLE bursts AS
SELECT id.orig_h, window_start, count(*) AS n FROM dns WINDOW HOPPING (SIZE 5 MINUTES, ADVANCE BY 1 MINUTE) GROUP BY id.orig_h HAVING count(*) >= 25;

CREATE TABLE first_seen AS
SELECT registered_domain(query) AS domain, min(ts) AS first_seen, max(ts) AS last_seen, count(*) AS n FROM dns GROUP BY domain;

CREATE TABLE rare_types AS
SELECT qtype_name, count(*) AS n, approx_count_distinct(id.orig_h) AS hosts, max(ts) AS last_seen FROM dns GROUP BY qtype_name;

CREATE TABLE refused AS
SELECT id.orig_h, query, count(*) AS n FROM dns WHERE rejected GROUP BY id.orig_h, query;

-- A silent sensor must be told from a quiet network.
CREATE TABLE sensor_health AS
SELECT window_start, count(*) AS n, min(ts) AS first_seen, max(ts) AS last_seen, count(*) FILTER (WHERE TC) AS truncated
FROM dns WINDOW TUMBLING (SIZE 1 MINUTE);
