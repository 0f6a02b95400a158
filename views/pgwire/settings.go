package pgwire

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/brotally/brotally/views"
)

// serverVersion is PostgreSQL's version whose questions are answered: clients ask what theirs is for.
const serverVersion = "16.0 (Brotally)"

// reported are the settings that clients are told at the start, as PostgreSQL tells them.
var reported = []string{
	"server_version", "server_encoding", "client_encoding", "application_name", "default_transaction_read_only", "in_hot_standby", "is_superuser",
	"session_authorization", "DateStyle", "IntervalStyle", "TimeZone", "integer_datetimes", "standard_conforming_strings",
}

// fixedSettings cannot be changed: setting them to what they are is taken, and so is anything else where clients do that as a matter of course.
var fixedSettings = map[string]string{
	"server_version": serverVersion, "server_version_num": "160000", "server_encoding": "UTF8", "client_encoding": "UTF8", "integer_datetimes": "on",
	"standard_conforming_strings": "on", "default_transaction_read_only": "on", "transaction_read_only": "on", "in_hot_standby": "off", "is_superuser": "off",
	"datestyle": "ISO, MDY", "intervalstyle": "postgres", "timezone": "UTC", "transaction_isolation": "repeatable read", "default_transaction_isolation": "repeatable read",
	"max_identifier_length": "63", "max_index_keys": "32", "lc_collate": "C", "lc_ctype": "C", "session_authorization": "brotally", "ssl": "off", "bytea_output": "hex",
	"lc_messages": "C", "lc_monetary": "C", "lc_numeric": "C", "lc_time": "C", "block_size": "8192", "wal_level": "replica", "transaction_deferrable": "off",
	"default_table_access_method": "heap", "default_tablespace": "", "default_with_oids": "off", "array_nulls": "on", "max_prepared_transactions": "0",
}

// freeSettings are what others begin as. Those that are not listed can be set and shown too: what clients set up does not matter here.
var freeSettings = map[string]string{
	"application_name": "", "extra_float_digits": "1", "search_path": `"$user", public`, "statement_timeout": "0", "lock_timeout": "0",
	"idle_in_transaction_session_timeout": "0", "idle_session_timeout": "0", "client_min_messages": "notice", "row_security": "on", "enable_seqscan": "on",
	"max_connections": "200", "work_mem": "4MB", "role": "none",
}

const maxSettings = 200 // of a session

// settings are a session's.
type settings struct {
	values map[string]string

	// In a transaction: what a rollback brings back, and what a commit leaves, which is values without what SET LOCAL set. Else nil.
	before, lasting map[string]string

	asOf *views.AsOf // of the last look-up; nil: there was none
}

func newSettings() *settings { return &settings{values: maps.Clone(freeSettings)} }

// asOfSetting says how far the last look-up's answer reflects the source topics.
const asOfSetting = "brotally.as_of"

func (s *settings) get(name string) (string, bool) {
	name = strings.ToLower(name)
	if name == asOfSetting {
		if s.asOf == nil {
			return "", true
		}
		return s.asOf.String(), true
	}
	if v, ok := fixedSettings[name]; ok {
		return v, true
	}
	v, ok := s.values[name]
	return v, ok
}

func (s *settings) show(name string) string {
	v, _ := s.get(name)
	return v
}

// begin keeps what there is for the transaction's end.
func (s *settings) begin() { s.before, s.lasting = maps.Clone(s.values), maps.Clone(s.values) }

// end ends a transaction. What SET LOCAL set is over; after a rollback, so is what SET did.
func (s *settings) end(committed bool) {
	switch {
	case s.before == nil:
		return
	case committed:
		s.values = s.lasting
	default:
		s.values = s.before
	}
	s.before, s.lasting = nil, nil
}

// set changes a setting for good.
func (s *settings) set(name, value string) *wireError {
	err := s.setLocal(name, value)
	if v, ok := s.values[strings.ToLower(name)]; ok && err == nil && s.lasting != nil {
		s.lasting[strings.ToLower(name)] = v
	}
	return err
}

// setLocal changes a setting until the transaction ends.
func (s *settings) setLocal(name, value string) *wireError {
	name = strings.ToLower(name)
	if name == "client_encoding" {
		switch strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(strings.Trim(value, "'\" "))) {
		case "utf8", "unicode", "sqlascii":
			return nil
		}
		return &wireError{code: "22023", message: "client_encoding " + value + " is not supported", hint: "there is UTF8"}
	}
	if name == asOfSetting {
		return &wireError{code: "55P02", message: asOfSetting + " is what the last look-up says and cannot be set"}
	}
	if _, fixed := fixedSettings[name]; fixed {
		return nil
	}
	if _, known := s.values[name]; !known && len(s.values) >= maxSettings || len(name)+len(value) > 8<<10 {
		return &wireError{code: "54000", message: "too many settings, or one that is too long"}
	}
	if name == "statement_timeout" {
		if _, ok := parseTimeout(value); !ok {
			return &wireError{code: "22023", message: "invalid value for statement_timeout: " + value, hint: "it is a number of milliseconds, or has a unit: '5s'"}
		}
	}
	s.values[name] = value
	return nil
}

func (s *settings) reset(name string) {
	name = strings.ToLower(name)
	for _, values := range []map[string]string{s.values, s.lasting} {
		if def, ok := freeSettings[name]; !ok {
			delete(values, name)
		} else if values != nil {
			values[name] = def
		}
	}
}

func (s *settings) resetAll() {
	if s.values = maps.Clone(freeSettings); s.lasting != nil {
		s.lasting = maps.Clone(freeSettings)
	}
}

// all are the settings by name.
func (s *settings) all() [][2]string {
	names := slices.Collect(maps.Keys(fixedSettings))
	names = append(names, asOfSetting)
	names = append(names, slices.Collect(maps.Keys(s.values))...)
	slices.Sort(names)
	out := make([][2]string, 0, len(names))
	for _, name := range slices.Compact(names) {
		out = append(out, [2]string{name, s.show(name)})
	}
	return out
}

// options reads -c name=value and --name=value of the startup message's options. What is not known does no harm.
func (s *settings) options(text string) {
	fields := strings.Fields(text)
	for i, f := range fields {
		pair, ok := strings.CutPrefix(f, "--")
		if !ok {
			if pair, ok = strings.CutPrefix(f, "-c"); ok && pair == "" && i+1 < len(fields) {
				pair = fields[i+1]
			}
		}
		if name, value, found := strings.Cut(pair, "="); ok && found {
			_ = s.set(strings.ReplaceAll(name, "-", "_"), value)
		}
	}
}

// timeout is the session's own limit of a statement; 0: none.
func (s *settings) timeout() time.Duration {
	d, _ := parseTimeout(s.values["statement_timeout"])
	return d
}

// parseTimeout reads milliseconds, or a number with a unit.
func parseTimeout(text string) (time.Duration, bool) {
	text = strings.TrimSpace(text)
	if ms, err := strconv.ParseInt(text, 10, 32); err == nil {
		return time.Duration(ms) * time.Millisecond, ms >= 0
	}
	d, err := time.ParseDuration(strings.ReplaceAll(strings.ReplaceAll(text, " ", ""), "min", "m"))
	return d, err == nil && d >= 0
}
