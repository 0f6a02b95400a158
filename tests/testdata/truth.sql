-- The queries of shared/data/truth/*/queries.sql in Brotally's SQL, each named after its CSV. Where DuckDB's loader had
-- numbers of seconds, ts and duration are a timestamp and an interval here, and extract(epoch FROM ..) gives the number; of
-- window_start, which has to be a column as it is, the comparison does that.

CREATE TABLE q01_dns_count_by_orig_qtype AS
SELECT id.orig_h, qtype_name, count(*) AS n FROM dns GROUP BY 1, 2;

CREATE TABLE q02_conn_bytes_by_orig_resp AS
SELECT id.orig_h, id.resp_h, sum(orig_bytes) AS sum_orig_bytes, sum(resp_bytes) AS sum_resp_bytes, count(*) AS n,
  count(duration) AS n_duration, extract(epoch FROM max(duration)) AS max_duration, extract(epoch FROM avg(duration)) AS avg_duration,
  extract(epoch FROM min(ts)) AS min_ts, extract(epoch FROM max(ts)) AS max_ts
FROM conn GROUP BY 1, 2;

CREATE TABLE q04_http_count_by_host_method_status AS
SELECT host, method, status_code, count(*) AS n FROM http GROUP BY host, method, status_code;

CREATE TABLE q08_ssl_count_by_version_cipher AS
SELECT version, cipher, count(*) AS n FROM ssl GROUP BY version, cipher;

CREATE TABLE f01_conn_and_or AS
SELECT conn_state, count(*) AS n FROM conn WHERE proto = 'tcp' AND ("id.resp_p" = 443 OR `id.resp_p` = 80) GROUP BY 1;

CREATE TABLE f02_conn_in AS
SELECT service, proto, count(*) AS n FROM conn WHERE service IN ('dns', 'http', 'ssl') GROUP BY service, proto;

CREATE TABLE f03_conn_is_null AS
SELECT proto, count(*) AS n, sum(orig_bytes) AS sum_orig_bytes FROM conn WHERE service IS NULL GROUP BY proto;

CREATE TABLE f04_conn_not_eq_3vl AS
SELECT proto, count(*) AS n FROM conn WHERE NOT (service = 'dns') GROUP BY proto;

CREATE TABLE f05_conn_neq_or_null AS
SELECT proto, count(*) AS n FROM conn WHERE service <> 'dns' OR service IS NULL GROUP BY proto;

CREATE TABLE f06_conn_not_in_3vl AS
SELECT service, count(*) AS n FROM conn WHERE service NOT IN ('dns', 'http') GROUP BY service;

CREATE TABLE f07_conn_is_distinct_from AS
SELECT proto, count(*) AS n FROM conn WHERE service IS DISTINCT FROM 'dns' GROUP BY proto;

CREATE TABLE f08_conn_arith AS
SELECT conn_state, count(*) AS n, sum(orig_bytes + resp_bytes) AS total_bytes, sum(COALESCE(orig_bytes, 0) + COALESCE(resp_bytes, 0)) AS total_bytes0
FROM conn WHERE extract(epoch FROM duration) > 1.5 AND orig_bytes * 2 > resp_bytes GROUP BY conn_state;

CREATE TABLE f09_dns_like AS
SELECT qtype_name, count(*) AS n FROM dns WHERE query LIKE '%.com' GROUP BY qtype_name;

CREATE TABLE f10_dns_not_like AS
SELECT qtype_name, count(*) AS n FROM dns WHERE query NOT LIKE '%.com' AND query LIKE '_%.%' GROUP BY qtype_name;

CREATE TABLE f11_dns_rcode_nxdomain AS
SELECT qtype_name, count(*) AS n FROM dns WHERE rcode_name = 'NXDOMAIN' GROUP BY qtype_name;

CREATE TABLE f12_dns_rcode_neq AS
SELECT qtype_name, rcode_name, count(*) AS n FROM dns WHERE rcode_name <> 'NOERROR' GROUP BY 1, 2;

CREATE TABLE f13_dns_rcode_null AS
SELECT qtype_name, count(*) AS n FROM dns WHERE rcode_name IS NULL GROUP BY 1;

CREATE TABLE f14_http_like_between AS
SELECT method, count(*) AS n, sum(response_body_len) AS body FROM http WHERE user_agent LIKE 'Mozilla%' AND status_code BETWEEN 200 AND 299 GROUP BY 1;

CREATE TABLE f15_http_like_escape AS
SELECT method, count(*) AS n FROM http WHERE uri LIKE '%\%%' ESCAPE '\' GROUP BY 1;

CREATE TABLE f16_dns_bool AS
SELECT AA, RA, rejected, count(*) AS n FROM dns WHERE RD AND NOT TC GROUP BY AA, RA, rejected;

CREATE TABLE c_c10_conn_by_service AS
SELECT service, count(*) AS n FROM conn WHERE in_subnet(id.orig_h, '10.0.0.0/8') GROUP BY service;

CREATE TABLE c_c192_conn_by_service AS
SELECT service, count(*) AS n FROM conn WHERE in_subnet(id.orig_h, '192.168.0.0/16') GROUP BY service;

CREATE TABLE c_c172_conn_by_service AS
SELECT service, count(*) AS n FROM conn WHERE in_subnet(id.orig_h, '172.16.0.0/12') GROUP BY service;

CREATE TABLE c_cfe80_conn_by_service AS
SELECT service, count(*) AS n FROM conn WHERE in_subnet(id.orig_h, 'fe80::/10') GROUP BY service;

CREATE TABLE c_cff_conn_by_service AS
SELECT service, count(*) AS n FROM conn WHERE in_subnet(id.orig_h, 'ff00::/8') GROUP BY service;

CREATE TABLE c_orig_private_resp_not AS
SELECT id.orig_h, count(*) AS n, sum(orig_bytes) AS sum_orig_bytes FROM conn
WHERE (in_subnet(id.orig_h, '10.0.0.0/8') OR in_subnet(id.orig_h, '172.16.0.0/12') OR in_subnet(id.orig_h, '192.168.0.0/16'))
  AND NOT (in_subnet(id.resp_h, '10.0.0.0/8') OR in_subnet(id.resp_h, '172.16.0.0/12') OR in_subnet(id.resp_h, '192.168.0.0/16'))
GROUP BY id.orig_h;

CREATE TABLE q05_conn_tumbling_1m_by_service AS
SELECT window_start, service, count(*) AS n, sum(orig_bytes) AS sum_orig_bytes FROM conn WINDOW TUMBLING (SIZE 1 MINUTE) GROUP BY service;

CREATE TABLE q05_conn_tumbling_1h_by_service AS
SELECT window_start, service, count(*) AS n, sum(orig_bytes) AS sum_orig_bytes FROM conn WINDOW TUMBLING (SIZE 1 HOUR) GROUP BY service;

CREATE TABLE q06_conn_hopping_5m_1m_by_service AS
SELECT window_start, service, count(*) AS n FROM conn WINDOW HOPPING (SIZE 5 MINUTES, ADVANCE BY 1 MINUTE) GROUP BY service;

CREATE TABLE q06_conn_hopping_1h_15m_by_service AS
SELECT window_start, service, count(*) AS n FROM conn WINDOW HOPPING (SIZE 1 HOUR, ADVANCE BY 15 MINUTES) GROUP BY service;

CREATE TABLE f17_having AS
SELECT id.orig_h, count(*) AS n FROM conn GROUP BY 1 HAVING count(*) >= 10 AND sum(resp_bytes) > 1000;

CREATE TABLE a01_dns_answers_len AS
SELECT len(answers) AS n_answers, count(*) AS n FROM dns GROUP BY 1;

CREATE TABLE a02_dns_unnest_answers AS
SELECT unnest(answers) AS a, count(*) AS n FROM dns GROUP BY a;

-- Each source has its own most frequent answer, which the others do not have.
CREATE TABLE a03_dns_answers_contains AS
SELECT qtype_name, count(*) AS n FROM dns
WHERE '108.168.255.244' = ANY (answers) OR '13.107.21.200' = ANY (answers) OR array_contains(answers, '74.125.19.100')
GROUP BY 1;

-- No answer of the logs has more than twelve.
CREATE TABLE a04_dns_ttl AS
SELECT qtype_name, count(TTLs) AS n_ttls,
  extract(epoch FROM max(greatest(TTLs[1], TTLs[2], TTLs[3], TTLs[4], TTLs[5], TTLs[6], TTLs[7], TTLs[8], TTLs[9], TTLs[10], TTLs[11], TTLs[12]))) AS max_ttl,
  sum(len(TTLs)) AS sum_len
FROM dns GROUP BY 1;

CREATE TABLE a05_dns_not_contains AS
SELECT qtype_name, count(*) AS n FROM dns
WHERE NOT (array_contains(answers, '108.168.255.244') OR '13.107.21.200' = ANY (answers) OR array_contains(answers, '74.125.19.100'))
GROUP BY 1;

CREATE TABLE a06_conn_tunnel_parents AS
SELECT len(tunnel_parents) AS n_parents, count(*) AS n FROM conn GROUP BY 1;

CREATE TABLE a07_http_tags_len AS
SELECT len(tags) AS n_tags, array_length(resp_mime_types) AS n_mime, resp_mime_types[1] AS first_mime, count(*) AS n FROM http GROUP BY 1, 2, 3;

CREATE TABLE q03_dns_distinct_query_by_orig AS
SELECT id.orig_h, count(DISTINCT query) AS distinct_query, count(query) AS n_query, count(*) AS n FROM dns GROUP BY 1;

CREATE TABLE q03b_dns_distinct_query_all AS
SELECT count(DISTINCT query) AS distinct_query, count(DISTINCT id.orig_h) AS distinct_orig, count(*) AS n FROM dns;

CREATE TABLE q03c_conn_distinct_resp_by_orig AS
SELECT id.orig_h, count(DISTINCT id.resp_h) AS distinct_resp_h, count(DISTINCT id.resp_p) AS distinct_resp_p, count(DISTINCT uid) AS distinct_uid, count(*) AS n
FROM conn GROUP BY 1;

CREATE TABLE q09_weird_count_by_name AS
SELECT name, count(*) AS n, extract(epoch FROM min(ts)) AS min_ts, extract(epoch FROM max(ts)) AS max_ts FROM weird GROUP BY 1;
