package pgcatalog

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// scalar is a function of values to a value.
type scalar struct {
	typ    uint32 // of the result; 0: that of the first argument that has one
	strict bool   // NULL if any argument is NULL
	eval   func(r *run, args []Value) Value
}

// setFunction is a function that returns rows.
type setFunction struct {
	least   int      // arguments
	columns []string // of its records; nil: it returns values
	typ     func(r *run, args []uint32) uint32
	rows    func(r *run, args []Value) []Value
}

// setOf computes the rows that a function returns.
func (r *run) setOf(x *call, sc *scope) []Value {
	f := setFunctions[x.name]
	if len(x.args) < f.least {
		fail(x.at, codeNoFunction, "function %s with %d argument(s) is not answered here", x.name, len(x.args))
	}
	list := f.rows(r, r.evalAll(x.args, sc))
	r.make(32 * len(list))
	return list
}

// columnType is the type of a column of its rows; oid is that of its value.
func (f *setFunction) columnType(name string, oid uint32) uint32 {
	switch {
	case f.columns == nil:
		return oid
	case name == "n":
		return oidInt4
	}
	return oidText
}

// Functions of the catalog that say that something is not there, or is allowed, or visible.
var (
	nothing = strings.Fields(`pg_get_expr obj_description col_description shobj_description pg_get_viewdef pg_get_ruledef pg_get_triggerdef pg_get_partkeydef
		pg_get_partition_constraintdef pg_get_statisticsobjdef pg_get_statisticsobjdef_columns pg_get_serial_sequence pg_get_functiondef pg_get_function_result
		pg_get_function_arguments pg_get_function_identity_arguments pg_get_function_sqlbody pg_tablespace_location inet_client_addr inet_server_addr
		pg_stat_get_last_vacuum_time pg_last_xact_replay_timestamp pg_partition_root json_build_object row_to_json to_json`)
	visibles = strings.Fields(`pg_table_is_visible pg_type_is_visible pg_function_is_visible pg_operator_is_visible pg_opclass_is_visible pg_collation_is_visible
		pg_conversion_is_visible pg_ts_config_is_visible pg_statistics_obj_is_visible pg_advisory_unlock pg_try_advisory_lock`)
	refusals   = strings.Fields(`pg_is_in_recovery pg_is_other_temp_schema pg_relation_is_publishable row_security_active pg_is_wal_replay_paused pg_indexam_has_property pg_index_has_property pg_index_column_has_property`)
	privileges = strings.Fields(`has_table_privilege has_schema_privilege has_database_privilege has_column_privilege has_any_column_privilege has_sequence_privilege
		has_function_privilege has_type_privilege has_tablespace_privilege has_language_privilege has_server_privilege has_foreign_data_wrapper_privilege pg_has_role`)
)

var scalars map[string]scalar

func init() {
	s := func(v string) func(*run, []Value) Value { return func(*run, []Value) Value { return v } }
	textOf := func(f func(args []Value) Value) scalar {
		return scalar{oidText, true, func(_ *run, args []Value) Value { return f(args) }}
	}
	scalars = map[string]scalar{
		"version":                  {oidText, false, func(r *run, _ []Value) Value { return r.db.Version }},
		"current_database":         {oidName, false, func(r *run, _ []Value) Value { return r.db.Name }},
		"current_catalog":          {oidName, false, func(r *run, _ []Value) Value { return r.db.Name }},
		"current_schema":           {oidName, false, s("public")},
		"current_user":             {oidName, false, func(r *run, _ []Value) Value { return r.db.User }},
		"session_user":             {oidName, false, func(r *run, _ []Value) Value { return r.db.User }},
		"user":                     {oidName, false, func(r *run, _ []Value) Value { return r.db.User }},
		"current_role":             {oidName, false, func(r *run, _ []Value) Value { return r.db.User }},
		"pg_get_userbyid":          {oidName, true, func(_ *run, _ []Value) Value { return ownerName }},
		"pg_backend_pid":           {oidInt4, false, func(r *run, _ []Value) Value { return int64(r.db.PID) }},
		"pg_my_temp_schema":        {oidOID, false, func(*run, []Value) Value { return int64(0) }},
		"txid_current":             {oidInt8, false, func(*run, []Value) Value { return int64(1) }},
		"pg_advisory_unlock_all":   {2278, false, s("")},
		"inet_server_port":         {oidInt4, false, func(*run, []Value) Value { return nil }},
		"now":                      {oidTimestamptz, false, timeNow},
		"current_timestamp":        {oidTimestamptz, false, timeNow},
		"localtimestamp":           {oidTimestamp, false, func(r *run, _ []Value) Value { return r.db.Now.UTC().Format("2006-01-02 15:04:05.999999") }},
		"transaction_timestamp":    {oidTimestamptz, false, timeNow},
		"statement_timestamp":      {oidTimestamptz, false, timeNow},
		"clock_timestamp":          {oidTimestamptz, false, timeNow},
		"pg_postmaster_start_time": {oidTimestamptz, false, timeNow},
		"current_date":             {1082, false, func(r *run, _ []Value) Value { return r.db.Now.UTC().Format("2006-01-02") }},
		"current_schemas": {1003, true, func(_ *run, args []Value) Value {
			if isTrue(args[0]) {
				return &array{list: []Value{"pg_catalog", "public"}}
			}
			return &array{list: []Value{"public"}}
		}},
		"current_setting": {oidText, true, func(r *run, args []Value) Value {
			if r.db.Setting != nil {
				if v, ok := r.db.Setting(lower(text(args[0]))); ok {
					return v
				}
			}
			if len(args) > 1 && isTrue(args[1]) {
				return nil
			}
			fail(-1, codeNoType, "there is no setting %s", text(args[0]))
			return nil
		}},
		"set_config": {oidText, false, func(r *run, args []Value) Value {
			if r.db.Set != nil && len(args) > 1 && args[0] != nil && args[1] != nil {
				if err := r.db.Set(lower(text(args[0])), text(args[1]), len(args) > 2 && isTrue(args[2])); err != nil {
					fail(-1, "22023", "%v", err)
				}
				return text(args[1])
			}
			return nil
		}},
		"format_type": {oidText, false, func(_ *run, args []Value) Value {
			n, ok := number(args[0])
			if args[0] == nil || !ok {
				return nil
			}
			return formatType(uint32(n))
		}},
		"to_regclass": {oidRegclass, true, func(r *run, args []Value) Value {
			if c, ok := r.db.named(text(args[0])); ok {
				return reg{c.oid, r.visible(c)}
			}
			return nil
		}},
		"to_regtype": {oidRegtype, true, func(r *run, args []Value) Value {
			if t := typesByName[lower(text(args[0]))]; t != nil {
				return reg{int64(t.oid), t.title}
			}
			return nil
		}},
		"to_regnamespace": {oidRegnsp, true, func(r *run, args []Value) Value {
			for _, n := range namespaces {
				if n.name == text(args[0]) {
					return n
				}
			}
			return nil
		}},
		"pg_get_indexdef": {oidText, true, pgGetIndexdef},
		"pg_get_constraintdef": {oidText, true, func(r *run, args []Value) Value {
			n, _ := number(args[0])
			if c, ok := r.db.class(func(c class) bool { return c.kind == "i" && c.oid+1<<26 == n }); ok {
				return "PRIMARY KEY (" + keyColumns(c) + ")"
			}
			return nil
		}},
		"pg_encoding_to_char":    {oidName, true, s("UTF8")},
		"pg_char_to_encoding":    {oidInt4, true, func(*run, []Value) Value { return int64(6) }},
		"pg_client_encoding":     {oidName, false, s("UTF8")},
		"getdatabaseencoding":    {oidName, false, s("UTF8")},
		"pg_relation_size":       {oidInt8, true, relationSize},
		"pg_table_size":          {oidInt8, true, relationSize},
		"pg_total_relation_size": {oidInt8, true, relationSize},
		"pg_indexes_size":        {oidInt8, true, func(*run, []Value) Value { return int64(0) }},
		"pg_database_size": {oidInt8, true, func(r *run, _ []Value) Value {
			n := int64(0)
			for _, t := range r.db.Tables {
				n += t.Bytes
			}
			return n
		}},
		"pg_size_pretty": textOf(func(args []Value) Value { return sizePretty(args[0]) }),
		"quote_ident":    textOf(func(args []Value) Value { return quoteIdent(text(args[0])) }),
		"quote_literal":  textOf(func(args []Value) Value { return "'" + strings.ReplaceAll(text(args[0]), "'", "''") + "'" }),
		"lower":          textOf(func(args []Value) Value { return strings.ToLower(text(args[0])) }),
		"upper":          textOf(func(args []Value) Value { return strings.ToUpper(text(args[0])) }),
		"btrim":          textOf(func(args []Value) Value { return strings.Trim(text(args[0]), second(args, " ")) }),
		"ltrim":          textOf(func(args []Value) Value { return strings.TrimLeft(text(args[0]), second(args, " ")) }),
		"rtrim":          textOf(func(args []Value) Value { return strings.TrimRight(text(args[0]), second(args, " ")) }),
		"replace":        textOf(replace),
		"substring":      textOf(substring),
		"substr":         textOf(substring),
		"left":           textOf(left),
		"split_part": textOf(func(args []Value) Value {
			n, _ := number(args[2])
			parts := []string{text(args[0])}
			if separator := text(args[1]); separator != "" {
				parts = strings.Split(parts[0], separator)
			}
			if n < 0 { // from the end
				n += int64(len(parts)) + 1
			}
			if n >= 1 && n <= int64(len(parts)) {
				return parts[n-1]
			}
			return ""
		}),
		"concat": {oidText, false, func(_ *run, args []Value) Value {
			parts := make([]string, len(args))
			for i, v := range args {
				parts[i] = text(v)
			}
			return joinTexts(parts, "")
		}},
		"concat_ws": {oidText, false, func(_ *run, args []Value) Value {
			var parts []string
			for _, v := range args[1:] {
				if v != nil {
					parts = append(parts, text(v))
				}
			}
			return joinTexts(parts, text(args[0]))
		}},
		"length":      {oidInt4, true, func(_ *run, args []Value) Value { return int64(len([]rune(text(args[0])))) }},
		"char_length": {oidInt4, true, func(_ *run, args []Value) Value { return int64(len([]rune(text(args[0])))) }},
		"strpos":      {oidInt4, true, func(_ *run, args []Value) Value { return int64(strings.Index(text(args[0]), text(args[1])) + 1) }},
		"starts_with": {oidBool, true, func(_ *run, args []Value) Value { return strings.HasPrefix(text(args[0]), text(args[1])) }},
		"like_escape": {oidBool, true, func(r *run, args []Value) Value {
			return r.like(text(args[0]), text(args[1]), firstRune(text(args[2])), false)
		}},
		"ilike_escape": {oidBool, true, func(r *run, args []Value) Value {
			return r.like(text(args[0]), text(args[1]), firstRune(text(args[2])), true)
		}},
		"abs": {0, true, func(_ *run, args []Value) Value {
			if f, ok := args[0].(float64); ok {
				return max(f, -f)
			}
			n, _ := number(args[0])
			return max(n, -n)
		}},
		"coalesce": {0, false, func(_ *run, args []Value) Value {
			for _, v := range args {
				if v != nil {
					return v
				}
			}
			return nil
		}},
		"nullif": {0, false, func(_ *run, args []Value) Value {
			if args[0] != nil && args[1] != nil && compare(args[0], args[1]) == 0 {
				return nil
			}
			return args[0]
		}},
		"greatest": {0, false, func(_ *run, args []Value) Value { return extreme(args, 1) }},
		"least":    {0, false, func(_ *run, args []Value) Value { return extreme(args, -1) }},
		"array_to_string": textOf(func(args []Value) Value {
			var parts []string
			for _, v := range listOf(args[0]) {
				if v != nil {
					parts = append(parts, text(v))
				} else if len(args) > 2 {
					parts = append(parts, text(args[2]))
				}
			}
			return joinTexts(parts, text(args[1]))
		}),
		"string_to_array": {1009, true, func(_ *run, args []Value) Value {
			out := &array{}
			if text(args[0]) != "" {
				for _, s := range strings.Split(text(args[0]), text(args[1])) {
					out.list = append(out.list, s)
				}
			}
			return out
		}},
		"array_length": {oidInt4, true, lengthOf},
		"array_upper": {oidInt4, true, func(r *run, args []Value) Value {
			n := lengthOf(r, args)
			if a, ok := args[0].(*array); ok && a.vector && n != nil {
				return n.(int64) - 1
			}
			return n
		}},
		"array_lower": {oidInt4, true, func(r *run, args []Value) Value {
			if a, ok := args[0].(*array); ok && a.vector {
				return int64(0)
			}
			return int64(1)
		}},
		"cardinality": {oidInt4, true, func(_ *run, args []Value) Value { return int64(len(listOf(args[0]))) }},
		"array_position": {oidInt4, true, func(r *run, args []Value) Value {
			for i, v := range listOf(args[0]) {
				r.tick()
				if v != nil && compare(v, args[1]) == 0 {
					return int64(i + 1)
				}
			}
			return nil
		}},
		"array_remove": {0, true, func(r *run, args []Value) Value {
			return &array{list: slices.DeleteFunc(slices.Clone(listOf(args[0])), func(v Value) bool {
				r.tick()
				return v != nil && compare(v, args[1]) == 0
			})}
		}},
		"array_append": {0, false, func(_ *run, args []Value) Value { return &array{list: append(slices.Clone(listOf(args[0])), args[1])} }},
		"date_part": {oidFloat8, true, func(r *run, args []Value) Value {
			if text(args[0]) == "epoch" {
				return float64(r.db.Now.UnixMicro()) / 1e6
			}
			fail(-1, codeNoFunction, "date_part of %s is not answered here", text(args[0]))
			return nil
		}},
	}
	for _, name := range nothing {
		scalars[name] = scalar{oidText, false, func(*run, []Value) Value { return nil }}
	}
	for _, name := range visibles {
		scalars[name] = scalar{oidBool, true, func(*run, []Value) Value { return true }}
	}
	for _, name := range refusals {
		scalars[name] = scalar{oidBool, false, func(*run, []Value) Value { return false }}
	}
	for _, name := range privileges {
		scalars[name] = scalar{oidBool, true, func(_ *run, args []Value) Value {
			asked := strings.ToUpper(text(args[len(args)-1]))
			return strings.Contains(asked, "SELECT") || strings.Contains(asked, "USAGE") || strings.Contains(asked, "CONNECT") || strings.Contains(asked, "MEMBER")
		}}
	}
	// A table is visible without its schema, one of information_schema is not.
	scalars["pg_table_is_visible"] = scalar{oidBool, true, func(r *run, args []Value) Value {
		n, _ := number(args[0])
		c, ok := r.db.class(func(c class) bool { return c.oid == n })
		return ok && c.namespace != nspSchema
	}}
}

func timeNow(r *run, _ []Value) Value {
	return r.db.Now.UTC().Format("2006-01-02 15:04:05.999999") + "+00"
}

func second(args []Value, def string) string {
	if len(args) > 1 {
		return text(args[1])
	}
	return def
}

func firstRune(s string) rune {
	for _, r := range s {
		return r
	}
	return -1
}

func lengthOf(_ *run, args []Value) Value {
	if n := len(listOf(args[0])); n > 0 {
		return int64(n)
	}
	return nil
}

func substring(args []Value) Value {
	s := []rune(text(args[0]))
	from, ok := number(args[1])
	if !ok {
		return nil // of a pattern
	}
	to := int64(len(s)) + 1
	if len(args) > 2 {
		n, _ := number(args[2])
		to = min(to, from+n)
	}
	from = max(from, 1)
	if from >= to {
		return ""
	}
	return string(s[from-1 : to-1])
}

// left is the first n characters, or all but the last -n.
func left(args []Value) Value {
	s := []rune(text(args[0]))
	n, _ := number(args[1])
	if n < 0 {
		n += int64(len(s))
	}
	return string(s[:min(max(n, 0), int64(len(s)))])
}

func extreme(args []Value, sign int) Value {
	var out Value
	for _, v := range args {
		if v != nil && (out == nil || compare(v, out)*sign > 0) {
			out = v
		}
	}
	return out
}

func sizePretty(v Value) string {
	n, _ := number(v)
	units := []string{"bytes", "kB", "MB", "GB", "TB"}
	i := 0
	for n >= 10240 && i < len(units)-1 {
		n, i = (n+512)/1024, i+1
	}
	return strconv.FormatInt(n, 10) + " " + units[i]
}

func relationSize(r *run, args []Value) Value {
	c, ok := r.db.named(text(args[0]))
	if n, isNumber := number(args[0]); isNumber {
		c, ok = r.db.class(func(c class) bool { return c.oid == n })
	}
	if ok && c.table != nil && c.kind == "r" {
		return c.table.Bytes
	}
	return int64(0)
}

func pgGetIndexdef(r *run, args []Value) Value {
	n, _ := number(args[0])
	c, ok := r.db.class(func(c class) bool { return c.kind == "i" && c.oid == n })
	if !ok {
		return nil
	}
	if len(args) > 1 {
		column, _ := number(args[1])
		keys := c.table.keys()
		if column >= 1 && int(column) <= len(keys) {
			return quoteIdent(c.table.Columns[keys[column-1].(int64)-1].Name)
		}
		if column != 0 {
			return ""
		}
	}
	return indexDef(c)
}

var setFunctions = map[string]*setFunction{
	"unnest": {least: 1, typ: func(_ *run, args []uint32) uint32 {
		if e := elementType(first(args)); e != 0 {
			return e
		}
		return oidText
	}, rows: func(_ *run, args []Value) []Value { return listOf(args[0]) }},
	"generate_series": {least: 2, typ: func(_ *run, args []uint32) uint32 { return first(args) }, rows: func(r *run, args []Value) []Value {
		if slices.Contains(args, nil) {
			return nil
		}
		from, _ := number(args[0])
		to, _ := number(args[1])
		by := int64(1)
		if len(args) > 2 {
			by, _ = number(args[2])
		}
		var out []Value
		for n := from; by > 0 && n <= to || by < 0 && n >= to; n += by {
			if r.tick(); len(out) >= 100_000 {
				fail(-1, codeTooMuch, "generate_series is too long")
			}
			out = append(out, n)
		}
		return out
	}},
	"generate_subscripts": {least: 1, typ: func(*run, []uint32) uint32 { return oidInt4 }, rows: func(_ *run, args []Value) []Value {
		var out []Value
		first := int64(1)
		if a, ok := args[0].(*array); ok && a.vector {
			first = 0
		}
		for i := range listOf(args[0]) {
			out = append(out, int64(i)+first)
		}
		return out
	}},
	"_pg_expandarray": {least: 1, columns: []string{"x", "n"}, typ: func(*run, []uint32) uint32 { return oidRecord }, rows: func(_ *run, args []Value) []Value {
		var out []Value
		for i, v := range listOf(args[0]) {
			out = append(out, &record{[]string{"x", "n"}, []Value{v, int64(i + 1)}})
		}
		return out
	}},
	"pg_get_keywords": {columns: []string{"word", "catcode", "barelabel", "catdesc", "baredesc"}, typ: func(*run, []uint32) uint32 { return oidRecord }, rows: func(*run, []Value) []Value {
		var out []Value
		for _, w := range reserved {
			out = append(out, &record{[]string{"word", "catcode", "barelabel", "catdesc", "baredesc"}, []Value{w, "R", false, "reserved", ""}})
		}
		return out
	}},
	"pg_options_to_table": {columns: []string{"option_name", "option_value"}, typ: func(*run, []uint32) uint32 { return oidRecord }, rows: func(*run, []Value) []Value { return nil }},
	"aclexplode":          {columns: []string{"grantor", "grantee", "privilege_type", "is_grantable"}, typ: func(*run, []uint32) uint32 { return oidRecord }, rows: func(*run, []Value) []Value { return nil }},
}

func first(types []uint32) uint32 {
	for _, t := range types {
		if t != oidUnknown {
			return t
		}
	}
	return oidText
}

// aggregates and what they return; 0: the type of the argument.
var aggregates = map[string]*struct{ typ uint32 }{
	"count": {oidInt8}, "min": {0}, "max": {0}, "sum": {oidInt8}, "bool_or": {oidBool}, "bool_and": {oidBool}, "every": {oidBool}, "string_agg": {oidText}, "array_agg": {0}, "avg": {oidFloat8},
}

func (r *run) call(x *call, sc *scope) Value {
	if v, ok := sc.set[x]; ok {
		return v
	}
	if x.over != nil && sc.windows[x] == nil {
		fail(x.at, codeNotSupported, "window function %s is not possible here", x.name)
	}
	if x.over != nil {
		return sc.windows[x][sc.number]
	}
	if aggregates[x.name] != nil {
		if !sc.grouped {
			fail(x.at, "42803", "aggregate %s is not possible here", x.name)
		}
		return r.aggregate(x, sc)
	}
	f, ok := scalars[x.name]
	if !ok {
		panic(&Error{At: x.at, Code: codeNoFunction, Message: "function " + x.name + " is not answered here", Hint: "rows of tables are looked up in the SQL of docs/SQL.md; this statement reads the catalog alone"})
	}
	args := r.evalAll(x.args, sc)
	if f.strict && slices.Contains(args, nil) {
		return nil
	}
	defer func() {
		// Too few arguments are an index too high.
		if e := recover(); e != nil {
			if _, bounds := e.(interface{ RuntimeError() }); bounds {
				fail(x.at, codeNoFunction, "function %s with %d argument(s) is not answered here", x.name, len(args))
			}
			panic(e)
		}
	}()
	return r.kept(f.eval(r, args))
}

// joinTexts is strings.Join within limits.
func joinTexts(parts []string, separator string) string {
	n := 0
	for i, p := range parts {
		if n += len(p); i > 0 {
			n += len(separator)
		}
		within(n)
	}
	return strings.Join(parts, separator)
}

// replace is replace(text, from, to).
func replace(args []Value) Value {
	s, from, to := text(args[0]), text(args[1]), text(args[2])
	if from == "" {
		return s
	}
	within(len(s) + strings.Count(s, from)*(len(to)-len(from)))
	return strings.ReplaceAll(s, from, to)
}

// aggregate computes an aggregate over the group.
func (r *run) aggregate(x *call, sc *scope) Value {
	inner := *sc
	inner.grouped, inner.group = false, nil
	in := &rows{}
	var keys [][]Value
	seen := map[string]bool{}
	for _, t := range sc.group {
		r.step()
		inner.row = t
		if x.filter != nil && r.eval(x.filter, &inner) != true {
			continue
		}
		args := r.evalAll(x.args, &inner)
		if x.distinct {
			k := r.rowKey(args)
			if seen[k] {
				continue
			}
			seen[k] = true
		}
		in.rows = append(in.rows, args)
		var key []Value
		for _, o := range x.order {
			key = append(key, r.eval(o.x, &inner))
		}
		keys = append(keys, key)
	}
	if len(x.order) > 0 {
		r.sortBy(in, keys, x.order)
	}
	if x.star {
		return int64(len(in.rows))
	}
	if len(x.args) == 0 {
		fail(x.at, codeNoFunction, "function %s() does not exist", x.name)
	}
	var list []Value
	for _, args := range in.rows {
		if args[0] != nil || x.name == "array_agg" {
			list = append(list, args[0])
		}
	}
	switch {
	case x.name == "count":
		return int64(len(list))
	case len(list) == 0:
		return nil
	}
	switch x.name {
	case "min":
		return extreme(list, -1)
	case "max":
		return extreme(list, 1)
	case "array_agg":
		return r.kept(&array{list: list})
	case "string_agg":
		separator := ""
		if len(in.rows[0]) > 1 {
			separator = text(in.rows[0][1])
		}
		parts := make([]string, len(list))
		for i, v := range list {
			parts[i] = text(v)
		}
		return r.kept(joinTexts(parts, separator))
	case "sum", "avg":
		sum := Value(int64(0))
		for _, v := range list {
			sum = arithmetic(x.at, "+", sum, v)
		}
		if x.name == "avg" {
			return float(sum) / float64(len(list))
		}
		return sum
	}
	for _, v := range list {
		if isTrue(v) == (x.name == "bool_or") {
			return x.name == "bool_or"
		}
	}
	return x.name != "bool_or"
}

// typeOf is an expression's type, known without a row.
func (r *run) typeOf(x expr, sc *scope) uint32 {
	switch x := x.(type) {
	case *constant:
		return x.typ
	case *param:
		if t := r.types[x.n-1]; t != 0 {
			return t
		}
		return oidText
	case *slot:
		return sc.rels[x.rel].columns[x.column].OID
	case *column:
		for o := sc; o != nil; o = o.outer {
			if rel, c, ok := find(o.rels, x.parts); ok {
				if c == openColumn {
					return oidText
				}
				return o.rels[rel].columns[c].OID
			}
			for _, b := range o.rels {
				if len(x.parts) == 1 && b.alias == x.parts[0] {
					return oidRecord
				}
			}
		}
		if name := x.parts[len(x.parts)-1]; len(x.parts) > 1 && name == "n" {
			return oidInt4
		}
		return oidText
	case *unary:
		if x.op == "not" {
			return oidBool
		}
		return r.typeOf(x.x, sc)
	case *operation:
		return r.operatorType(x, sc)
	case *isTest, *inList, *quantified, *between, *exists:
		return oidBool
	case *caseWhen:
		for _, w := range x.whens {
			if t := r.typeOf(w[1], sc); t != oidUnknown {
				return t
			}
		}
		if x.other != nil {
			return r.typeOf(x.other, sc)
		}
		return oidText
	case *cast:
		return typeOID(x.at, x.typ)
	case *call:
		return r.callType(x, sc)
	case *arrayOf:
		for _, e := range x.list {
			if t := r.typeOf(e, sc); t != oidUnknown {
				return arrayType(t)
			}
		}
		return 1009
	case *arrayFrom:
		return arrayType(r.query(x.sub, sc).columns[0].OID)
	case *subquery:
		return r.query(x.sub, sc).columns[0].OID
	case *index:
		t := r.typeOf(x.x, sc)
		if e := elementType(t); e != 0 && !x.slice {
			return e
		}
		return t
	case *field:
		if x.name == "n" {
			return oidInt4
		}
		if c, ok := x.x.(*call); ok && c.name == "_pg_expandarray" && len(c.args) == 1 {
			if e := elementType(r.typeOf(c.args[0], sc)); e != 0 {
				return e
			}
		}
		return oidText
	case *row:
		return oidRecord
	}
	return oidText
}

func (r *run) operatorType(x *operation, sc *scope) uint32 {
	switch x.op {
	case "+", "-", "*", "/", "%", "&", "|", "<<", ">>", "^":
		a, b := r.typeOf(x.x, sc), r.typeOf(x.y, sc)
		switch {
		case a == oidFloat8 || b == oidFloat8 || a == oidFloat4 || b == oidFloat4 || a == oidNumeric || b == oidNumeric || x.op == "^":
			return oidFloat8
		case a == oidInt8 || b == oidInt8 || a == oidOID || b == oidOID:
			return oidInt8
		}
		return oidInt4
	case "||":
		if t := r.typeOf(x.x, sc); elementType(t) != 0 {
			return t
		}
		if t := r.typeOf(x.y, sc); elementType(t) != 0 {
			return t
		}
		return oidText
	case "->", "->>":
		return oidText
	}
	return oidBool
}

func (r *run) callType(x *call, sc *scope) uint32 {
	types := make([]uint32, len(x.args))
	for i, a := range x.args {
		types[i] = r.typeOf(a, sc)
	}
	switch {
	case x.name == "row_number" || x.name == "rank":
		return oidInt8
	case x.name == "array_agg":
		return arrayType(first(types))
	case aggregates[x.name] != nil:
		if t := aggregates[x.name].typ; t != 0 {
			return t
		}
		return first(types)
	case setFunctions[x.name] != nil:
		return setFunctions[x.name].typ(r, types)
	}
	if f, ok := scalars[x.name]; ok && f.typ != 0 {
		return f.typ
	} else if !ok {
		panic(&Error{At: x.at, Code: codeNoFunction, Message: fmt.Sprintf("function %s is not answered here", x.name)})
	}
	return first(types)
}
