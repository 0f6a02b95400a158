package traffic_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/traffic"
)

// Columns of Zeek 4.0's logs in their order, policy scripts of its local.zeek included.
var zeek4 = map[string]string{
	"conn": `ts uid id.orig_h id.orig_p id.resp_h id.resp_p proto service duration orig_bytes resp_bytes conn_state local_orig
		local_resp missed_bytes history orig_pkts orig_ip_bytes resp_pkts resp_ip_bytes tunnel_parents`,
	"dns": `ts uid id.orig_h id.orig_p id.resp_h id.resp_p proto trans_id rtt query qclass qclass_name qtype qtype_name rcode
		rcode_name AA TC RD RA Z answers TTLs rejected`,
	"http": `ts uid id.orig_h id.orig_p id.resp_h id.resp_p trans_depth method host uri referrer version user_agent origin
		request_body_len response_body_len status_code status_msg info_code info_msg tags username password proxied orig_fuids
		orig_filenames orig_mime_types resp_fuids resp_filenames resp_mime_types`,
	"ssl": `ts uid id.orig_h id.orig_p id.resp_h id.resp_p version cipher curve server_name resumed last_alert next_protocol
		established cert_chain_fuids client_cert_chain_fuids subject issuer client_subject client_issuer validation_status`,
	"x509": `ts id certificate.version certificate.serial certificate.subject certificate.issuer certificate.not_valid_before
		certificate.not_valid_after certificate.key_alg certificate.sig_alg certificate.key_type certificate.key_length
		certificate.exponent certificate.curve san.dns san.uri san.email san.ip basic_constraints.ca basic_constraints.path_len`,
	"smtp": `ts uid id.orig_h id.orig_p id.resp_h id.resp_p trans_depth helo mailfrom rcptto date from to cc reply_to msg_id
		in_reply_to subject x_originating_ip first_received second_received last_reply path user_agent tls fuids is_webmail`,
	"files": `ts fuid tx_hosts rx_hosts conn_uids source depth analyzers mime_type filename duration local_orig is_orig
		seen_bytes total_bytes missing_bytes overflow_bytes timedout parent_fuid md5 sha1 sha256 extracted extracted_cutoff
		extracted_size`,
}

func TestRecordsAreZeeks(t *testing.T) {
	columns := map[string][]string{}
	for feed, text := range zeek4 {
		columns[feed] = strings.Fields(text)
	}
	seen := map[string]map[string]bool{}
	for _, m := range during(t, traffic.Config{Seed: 3, Start: time.Unix(1.8e9, 0)}, time.Minute) {
		feed, ok := feeds.Lookup(m.Feed)
		if !ok {
			t.Fatalf("no feed %s", m.Feed)
		}
		if !utf8.Valid(m.Value) || bytes.ContainsAny(m.Value, "\n\r") {
			t.Fatalf("%s is not one line of UTF-8: %q", m.Feed, m.Value)
		}
		if seen[m.Feed] == nil {
			seen[m.Feed] = map[string]bool{}
		}
		left := columns[m.Feed]
		for _, f := range fields(t, m.Value) {
			for len(left) > 0 && left[0] != f.name {
				left = left[1:]
			}
			if len(left) == 0 {
				t.Fatalf("%s: field %s is none of Zeek's or out of order: %s", m.Feed, f.name, m.Value)
			}
			left = left[1:]
			i, ok := feed.Column(f.name)
			if !ok {
				t.Fatalf("%s: feeds has no column %s", m.Feed, f.name)
			}
			if err := fits(feed.Columns[i].Type, f.value); err != nil {
				t.Fatalf("%s.%s: %v: %s", m.Feed, f.name, err, m.Value)
			}
			seen[m.Feed][f.name] = true
		}
	}
	for _, feed := range traffic.Feeds() {
		if len(seen[feed]) < len(columns[feed])*2/3 {
			t.Errorf("%s: only %d of Zeek's %d fields are ever there", feed, len(seen[feed]), len(columns[feed]))
		}
	}
}

type field struct {
	name  string
	value json.RawMessage
}

// fields returns the fields of a JSON object in their order.
func fields(t *testing.T, object []byte) []field {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(object))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		t.Fatalf("not an object: %v: %s", err, object)
	}
	var all []field
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			t.Fatalf("%v: %s", err, object)
		}
		f := field{name: name.(string)}
		if err := dec.Decode(&f.value); err != nil {
			t.Fatalf("%v: %s", err, object)
		}
		all = append(all, f)
	}
	if _, err := dec.Token(); err != nil || dec.InputOffset() != int64(len(object)) {
		t.Fatalf("more than an object: %v: %s", err, object)
	}
	return all
}

// fits tells what keeps a JSON value from being what Zeek writes for a column of that type.
func fits(typ feeds.Type, raw json.RawMessage) error {
	if typ.Kind == feeds.Array {
		var elems []json.RawMessage
		if err := json.Unmarshal(raw, &elems); err != nil || elems == nil {
			return fmt.Errorf("want an array, got %s", raw)
		}
		for _, e := range elems {
			if err := fits(feeds.T(typ.Elem), e); err != nil {
				return err
			}
		}
		return nil
	}
	text := string(raw)
	switch typ.Kind {
	case feeds.Bool:
		if text != "true" && text != "false" {
			return fmt.Errorf("want a bool, got %s", text)
		}
	case feeds.Bigint, feeds.Ubigint:
		if _, err := strconv.ParseUint(text, 10, 63); err != nil {
			return err
		}
	case feeds.Timestamp, feeds.Interval, feeds.Double:
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return err
		}
		short := strconv.FormatFloat(v, 'f', -1, 64)
		if !strings.Contains(short, ".") {
			short += ".0"
		}
		if text != short {
			return fmt.Errorf("%s is not the shortest form, %s", text, short)
		}
	default:
		var s string
		if err := json.Unmarshal(raw, &s); err != nil || text == "null" {
			return fmt.Errorf("want a string, got %s", text)
		}
		if s == "" {
			return fmt.Errorf("empty string")
		}
		if typ.Kind == feeds.Inet {
			_, err := netip.ParseAddr(s)
			return err
		}
	}
	return nil
}
