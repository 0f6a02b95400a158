-- Who asks for what, how often: the DNS queries of each host by type; a record that has no query has qtype_name NULL.
CREATE TABLE dns_counts AS
SELECT id.orig_h, qtype_name, count(*) AS count
FROM dns
GROUP BY id.orig_h, qtype_name;
