-- What the web servers answered: requests by host, method and status; a request without an answer has status_code NULL.
CREATE TABLE http_hosts AS
SELECT host, method, status_code, count(*) AS count, sum(response_body_len) AS bytes, max(ts) AS last_seen
FROM http
GROUP BY host, method, status_code;
