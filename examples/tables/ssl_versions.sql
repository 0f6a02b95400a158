-- Which TLS is in use: handshakes by version and cipher, and when each was first and last seen.
CREATE TABLE ssl_versions AS
SELECT version, cipher, count(*) AS count, min(ts) AS first_seen, max(ts) AS last_seen
FROM ssl
GROUP BY version, cipher;
