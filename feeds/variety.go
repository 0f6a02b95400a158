package feeds

import (
	"slices"
	"strings"
)

// Variety says who decides how many different values a column has, and with that how many rows a table gets that groups by
// it. From Hosts on nothing bounds them.
type Variety uint8

const (
	Few    Variety = iota // words and numbers that a protocol, Zeek or the site has a list of
	Hosts                 // addresses: who sends packets chooses them, forged ones too
	Texts                 // text that strangers write: names, agents, URIs
	Unique                // another value in nearly every record: identifiers, times, amounts
)

// Variety returns that of a column; of one that the feed does not know, what follows from its type.
//
// A column of text counts as Texts unless it is listed here: what is forgotten is warned of once too often, not once too
// rarely. So a feed's file need not say anything about it.
func (f *Feed) Variety(c Column) Variety {
	kind := c.Type.Kind
	if kind == Array {
		kind = c.Type.Elem
	}
	listed := func(names []string) bool {
		return slices.Contains(names, c.Name) || slices.Contains(names, f.Name+"."+c.Name)
	}
	switch kind {
	case Bool:
		return Few
	case Inet, Subnet:
		return Hosts
	case Timestamp, Interval, Double, Numeric:
		return Unique
	case Bigint, Ubigint:
		if listed(amounts) || slices.ContainsFunc(amountSuffixes, func(s string) bool { return strings.HasSuffix(c.Name, s) }) {
			return Unique
		}
		return Few
	}
	switch {
	case listed(identifiers):
		return Unique
	case listed(words):
		return Few
	}
	return Texts
}

// words are the columns of text whose values somebody has a list of. Where logs use a name for different things, the feed
// stands before it.
var words = []string{
	"_path", "_system_name", "peer", "peer_descr",
	"proto", "ip_proto_name", "service", "speculative_service", "failed_service", "conn_state", "orig_cc", "resp_cc",
	"qclass_name", "qtype_name", "rcode_name", "opcode_name",
	"cipher", "curve", "last_alert", "validation_status", "ocsp_status", "ssl.version", "quic.version",
	"certificate.key_alg", "certificate.sig_alg", "certificate.key_type", "certificate.curve",
	"cipher_alg", "mac_alg", "compression_alg", "kex_alg", "host_key_alg", "direction",
	"files.source", "analyzers", "analyzer", "mime_type", "orig_mime_types", "resp_mime_types",
	"note", "actions", "weird.name", "weird.source", "software_type", "ftp.command", "msg_types",
	"modbus.func", "dnp3.fc_request", "dnp3.fc_reply", "dce_rpc.operation", "dce_rpc.endpoint", "kerberos.request_type", "reporter.level", "weird_stats.name",
	"seen.indicator_type", "seen.where", "seen.node", "sources", "tunnel_type", "action",
}

// identifiers are the columns of text that tell connections, files and the like apart.
var identifiers = []string{
	"uid", "uids", "conn_uids", "tunnel_parents", "community_id",
	"fuid", "fuids", "parent_fuid", "orig_fuids", "resp_fuids", "cert_chain_fuids", "client_cert_chain_fuids", "x509.id", "extracted",
}

// amounts are whole numbers that measure: hardly two records have the same.
var (
	amounts        = []string{"lease_time", "ticket_lifetime_hint"}
	amountSuffixes = []string{"_bytes", "_pkts", "_len", "_size"}
)
