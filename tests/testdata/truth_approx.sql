-- The queries of shared/data/truth/*/queries.sql whose answers here are estimates, each named after its CSV. A column has the
-- name of the CSV's column that it estimates; not every column of the CSV is there.

CREATE TABLE q03_dns_distinct_query_by_orig AS
SELECT id.orig_h, approx_count_distinct(query) AS distinct_query, count(query) AS n_query, count(*) AS n FROM dns GROUP BY 1;

CREATE TABLE q03b_dns_distinct_query_all AS
SELECT approx_count_distinct(query) AS distinct_query, approx_count_distinct(id.orig_h) AS distinct_orig, count(*) AS n FROM dns;

CREATE TABLE q03c_conn_distinct_resp_by_orig AS
SELECT id.orig_h, approx_count_distinct(id.resp_h) AS distinct_resp_h, approx_count_distinct(id.resp_p) AS distinct_resp_p,
  approx_count_distinct(uid) AS distinct_uid, count(*) AS n
FROM conn GROUP BY 1;

CREATE TABLE q07_conn_duration_quantiles_by_service AS
SELECT service, count(*) AS n, count(duration) AS n_duration,
  extract(epoch FROM approx_percentile(duration, 0.5)) AS p50_disc, extract(epoch FROM approx_percentile(duration, 0.9)) AS p90_disc,
  extract(epoch FROM approx_percentile(duration, 0.95)) AS p95_disc, extract(epoch FROM approx_percentile(duration, 0.99)) AS p99_disc,
  extract(epoch FROM approx_percentile(duration, 0)) AS min_duration, extract(epoch FROM approx_percentile(duration, 1)) AS max_duration
FROM conn GROUP BY 1;

CREATE TABLE k01_dns_topk_query AS
SELECT top_k(query, 50) AS query, count(query) AS n FROM dns;
