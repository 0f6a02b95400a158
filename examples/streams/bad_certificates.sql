-- Who talks TLS to a server whose certificate does not hold: each handshake with a certificate that is self-signed, expired or of an unknown issuer.
CREATE STREAM bad_certificates AS
SELECT ts, uid, id.orig_h, id.resp_h, id.resp_p, server_name, version, validation_status
FROM ssl
WHERE validation_status <> 'ok';
