package pgcatalog

import (
	"strings"
)

// catalogRelations are the relations, with the columns that clients ask for. Those without a filler are empty: there is nothing of
// their kind here.
func catalogRelations() []relationSpec {
	all := []relationSpec{
		spec("pg_namespace", "oid:oid nspname:name nspowner:oid=10 nspacl:text[]", func(_ *Database, add func(rowOf)) {
			for _, n := range namespaces {
				add(rowOf{"oid": n.oid, "nspname": n.name})
			}
		}),
		spec("pg_class", `oid:oid relname:name relnamespace:oid reltype:oid=0 reloftype:oid=0 relowner:oid=10 relam:oid=0 relfilenode:oid=0 reltablespace:oid=0
			relpages:int4=0 reltuples:float4=-1 relallvisible:int4=0 reltoastrelid:oid=0 relhasindex:bool=f relisshared:bool=f relpersistence:char=p relkind:char
			relnatts:int2=0 relchecks:int2=0 relhasrules:bool=f relhastriggers:bool=f relhassubclass:bool=f relrowsecurity:bool=f
			relforcerowsecurity:bool=f relispopulated:bool=t relreplident:char=d relispartition:bool=f relrewrite:oid=0 relhasoids:bool=f relacl:text[]
			reloptions:text[] relpartbound:text`, fillClass),
		spec("pg_attribute", `attrelid:oid attname:name atttypid:oid attlen:int2 attnum:int2 attcacheoff:int4=-1 atttypmod:int4=-1 attndims:int2=0 attbyval:bool=f
			attalign:char attstorage:char=x attcompression:char attnotnull:bool=f atthasdef:bool=f atthasmissing:bool=f attidentity:char= attgenerated:char=
			attisdropped:bool=f attislocal:bool=t attinhcount:int2=0 attstattarget:int4=-1 attcollation:oid=0 attacl:text[] attoptions:text[] attfdwoptions:text[]
			attmissingval:text`, fillAttribute),
		spec("pg_type", `oid:oid typname:name typnamespace:oid=11 typowner:oid=10 typlen:int2 typbyval:bool=f typtype:char=b typcategory:char typispreferred:bool=f
			typisdefined:bool=t typdelim:char=, typrelid:oid=0 typsubscript:regproc=0 typelem:oid=0 typarray:oid=0 typinput:regproc typoutput:regproc
			typreceive:regproc typsend:regproc typmodin:regproc typmodout:regproc typanalyze:regproc typalign:char typstorage:char=x typnotnull:bool=f
			typbasetype:oid=0 typtypmod:int4=-1 typndims:int4=0 typcollation:oid=0 typdefaultbin:text typdefault:text typacl:text[]`, fillType),
		spec("pg_index", `indexrelid:oid indrelid:oid indnatts:int2 indnkeyatts:int2 indisunique:bool=t indnullsnotdistinct:bool=t indisprimary:bool=t
			indisexclusion:bool=f indimmediate:bool=t indisclustered:bool=f indisvalid:bool=t indcheckxmin:bool=f indisready:bool=t indislive:bool=t
			indisreplident:bool=f indkey:int2vector indcollation:oidvector= indclass:oidvector= indoption:int2vector indexprs:text indpred:text`, fillIndex),
		spec("pg_constraint", `oid:oid conname:name connamespace:oid=2200 contype:char=p condeferrable:bool=f condeferred:bool=f convalidated:bool=t conrelid:oid
			contypid:oid=0 conindid:oid conparentid:oid=0 confrelid:oid=0 confupdtype:char confdeltype:char confmatchtype:char conislocal:bool=t coninhcount:int2=0
			connoinherit:bool=t conkey:int2[] confkey:int2[] conpfeqop:oid[] conppeqop:oid[] conffeqop:oid[] confdelsetcols:int2[] conexclop:oid[] conbin:text`, fillConstraint),
		spec("pg_database", `oid:oid datname:name datdba:oid=10 encoding:int4=6 datlocprovider:char=c datistemplate:bool=f datallowconn:bool=t datconnlimit:int4=-1
			datfrozenxid:int8=0 datminmxid:int8=0 dattablespace:oid=1663 datcollate:text=C datctype:text=C daticulocale:text daticurules:text datlocale:text datcollversion:text
			datacl:text[]`, func(db *Database, add func(rowOf)) { add(rowOf{"oid": int64(thisDB), "datname": db.Name}) }),
		spec("pg_roles", `oid:oid rolname:name rolsuper:bool=f rolinherit:bool=t rolcreaterole:bool=f rolcreatedb:bool=f rolcanlogin:bool=t rolreplication:bool=f
			rolconnlimit:int4=-1 rolpassword:text rolvaliduntil:timestamptz rolbypassrls:bool=f rolconfig:text[]`, fillRoles("rolname", "oid")),
		spec("pg_user", "usename:name usesysid:oid usecreatedb:bool=f usesuper:bool=f userepl:bool=f usebypassrls:bool=f passwd:text valuntil:timestamptz useconfig:text[]",
			fillRoles("usename", "usesysid")),
		spec("pg_am", "oid:oid amname:name amhandler:regproc amtype:char", func(_ *Database, add func(rowOf)) {
			add(rowOf{"oid": int64(heap), "amname": "heap", "amtype": "t"})
			add(rowOf{"oid": int64(btree), "amname": "btree", "amtype": "i"})
		}),
		spec("pg_collation", `oid:oid collname:name collnamespace:oid=11 collowner:oid=10 collprovider:char=c collisdeterministic:bool=t collencoding:int4=-1
			collcollate:text collctype:text collicurules:text colllocale:text colliculocale:text collversion:text`, func(_ *Database, add func(rowOf)) {
			add(rowOf{"oid": int64(100), "collname": "default", "collprovider": "d"})
			add(rowOf{"oid": int64(950), "collname": "C", "collcollate": "C", "collctype": "C"})
		}),
		spec("pg_tablespace", "oid:oid spcname:name spcowner:oid=10 spcacl:text[] spcoptions:text[]", func(_ *Database, add func(rowOf)) {
			add(rowOf{"oid": int64(1663), "spcname": "pg_default"})
		}),
		spec("pg_tables", "schemaname:name tablename:name tableowner:name=brotally tablespace:name hasindexes:bool hasrules:bool=f hastriggers:bool=f rowsecurity:bool=f",
			func(db *Database, add func(rowOf)) {
				for _, c := range db.classes() {
					if c.kind == "r" {
						add(rowOf{"schemaname": namespaceName(c.namespace), "tablename": c.name, "hasindexes": c.table != nil && len(c.table.keys()) > 0})
					}
				}
			}),
		spec("pg_indexes", "schemaname:name tablename:name indexname:name tablespace:name indexdef:text", func(db *Database, add func(rowOf)) {
			for _, c := range db.classes() {
				if c.kind == "i" {
					add(rowOf{"schemaname": "public", "tablename": c.table.Name, "indexname": c.name, "indexdef": indexDef(c)})
				}
			}
		}),
		spec("pg_settings", `name:text setting:text unit:text category:text short_desc:text extra_desc:text context:text=user vartype:text=string source:text=default
			min_val:text max_val:text enumvals:text[] boot_val:text reset_val:text sourcefile:text sourceline:int4 pending_restart:bool=f`,
			func(db *Database, add func(rowOf)) {
				if db.Settings == nil {
					return
				}
				for _, s := range db.Settings() {
					add(rowOf{"name": s[0], "setting": s[1], "boot_val": s[1], "reset_val": s[1]})
				}
			}),
		spec("pg_cursors", "name:text statement:text is_holdable:bool=f is_binary:bool=f is_scrollable:bool=f creation_time:timestamptz", func(db *Database, add func(rowOf)) {
			for _, c := range db.Cursors {
				add(rowOf{"name": c.Name, "statement": c.Statement})
			}
		}),
		spec("pg_stat_user_tables", `relid:oid schemaname:name relname:name seq_scan:int8=0 seq_tup_read:int8=0 idx_scan:int8=0 idx_tup_fetch:int8=0 n_tup_ins:int8=0
			n_tup_upd:int8=0 n_tup_del:int8=0 n_live_tup:int8 n_dead_tup:int8=0 last_vacuum:timestamptz last_autovacuum:timestamptz last_analyze:timestamptz`,
			func(db *Database, add func(rowOf)) {
				for _, c := range db.classes() {
					if c.kind == "r" && c.table != nil {
						add(rowOf{"relid": c.oid, "schemaname": "public", "relname": c.name, "n_live_tup": c.table.Rows})
					}
				}
			}),
		spec("pg_language", "oid:oid lanname:name", func(_ *Database, add func(rowOf)) { add(rowOf{"oid": int64(14), "lanname": "sql"}) }),
		spec("information_schema.schemata", "catalog_name:name schema_name:name schema_owner:name=brotally default_character_set_catalog:name default_character_set_schema:name default_character_set_name:name sql_path:text",
			func(db *Database, add func(rowOf)) {
				for _, n := range namespaces {
					add(rowOf{"catalog_name": db.Name, "schema_name": n.name})
				}
			}),
		spec("information_schema.tables", `table_catalog:name table_schema:name table_name:name table_type:text self_referencing_column_name:name reference_generation:text
			user_defined_type_catalog:name user_defined_type_schema:name user_defined_type_name:name is_insertable_into:text=NO is_typed:text=NO commit_action:text`,
			func(db *Database, add func(rowOf)) {
				for _, c := range db.classes() {
					switch c.kind {
					case "r":
						add(rowOf{"table_catalog": db.Name, "table_schema": namespaceName(c.namespace), "table_name": c.name, "table_type": "BASE TABLE"})
					case "v":
						add(rowOf{"table_catalog": db.Name, "table_schema": namespaceName(c.namespace), "table_name": c.name, "table_type": "VIEW"})
					}
				}
			}),
		spec("information_schema.columns", `table_catalog:name table_schema:name=public table_name:name column_name:name ordinal_position:int4 column_default:text
			is_nullable:text=YES data_type:text character_maximum_length:int4 character_octet_length:int4 numeric_precision:int4 numeric_precision_radix:int4
			numeric_scale:int4 datetime_precision:int4 interval_type:text interval_precision:int4 character_set_name:name collation_name:name domain_name:name
			domain_schema:name udt_catalog:name udt_schema:name=pg_catalog udt_name:name dtd_identifier:text is_identity:text=NO identity_generation:text
			is_generated:text=NEVER generation_expression:text is_updatable:text=NO is_self_referencing:text=NO`, fillColumns),
		spec("information_schema.table_constraints", `constraint_catalog:name constraint_schema:name=public constraint_name:name table_catalog:name table_schema:name=public
			table_name:name constraint_type:text is_deferrable:text=NO initially_deferred:text=NO enforced:text=YES nulls_distinct:text=NO`, func(db *Database, add func(rowOf)) {
			for _, t := range db.Tables {
				if len(t.keys()) > 0 {
					add(rowOf{"constraint_catalog": db.Name, "constraint_name": t.keyName(), "table_catalog": db.Name, "table_name": t.Name, "constraint_type": "PRIMARY KEY"})
				}
			}
		}),
		spec("information_schema.key_column_usage", `constraint_catalog:name constraint_schema:name=public constraint_name:name table_catalog:name table_schema:name=public
			table_name:name column_name:name ordinal_position:int4 position_in_unique_constraint:int4`, fillKeyColumns),
		spec("information_schema.constraint_column_usage", `table_catalog:name table_schema:name=public table_name:name column_name:name constraint_catalog:name
			constraint_schema:name=public constraint_name:name`, fillKeyColumns),
	}
	for _, name := range strings.Fields(`pg_attrdef pg_description pg_shdescription pg_proc pg_inherits pg_enum pg_range pg_trigger pg_policy pg_rewrite pg_depend pg_shdepend
		pg_extension pg_foreign_table pg_foreign_server pg_foreign_data_wrapper pg_user_mapping pg_matviews pg_views pg_sequence pg_sequences pg_statistic_ext
		pg_publication pg_publication_rel pg_publication_namespace pg_subscription pg_partitioned_table pg_opclass pg_opfamily pg_operator pg_event_trigger
		pg_stat_activity pg_locks pg_cast pg_conversion pg_aggregate pg_ts_config pg_ts_dict pg_ts_parser pg_ts_template pg_default_acl pg_auth_members pg_authid
		pg_db_role_setting pg_seclabel pg_seclabels pg_stats pg_statistic pg_timezone_names pg_prepared_statements pg_available_extensions pg_stat_database pg_statio_user_tables
		information_schema.views information_schema.referential_constraints information_schema.routines information_schema.parameters information_schema.sequences
		information_schema.triggers information_schema.check_constraints information_schema.table_privileges information_schema.column_privileges
		information_schema.role_table_grants information_schema.domains information_schema.element_types information_schema.character_sets`) {
		all = append(all, spec(name, openColumns[name], nil))
	}
	return all
}

// openColumns are those columns of empty relations whose types matter to the answer's.
var openColumns = map[string]string{
	"pg_description":   "objoid:oid classoid:oid objsubid:int4 description:text",
	"pg_attrdef":       "oid:oid adrelid:oid adnum:int2 adbin:text",
	"pg_proc":          "oid:oid proname:name pronamespace:oid",
	"pg_enum":          "oid:oid enumtypid:oid enumsortorder:float4 enumlabel:name",
	"pg_inherits":      "inhrelid:oid inhparent:oid inhseqno:int4",
	"pg_range":         "rngtypid:oid rngsubtype:oid",
	"pg_extension":     "oid:oid extname:name extnamespace:oid extversion:text",
	"pg_stat_activity": "pid:int4 datname:name usename:name application_name:text state:text query:text",
}

func fillClass(db *Database, add func(rowOf)) {
	for _, c := range db.classes() {
		r := rowOf{"oid": c.oid, "relname": c.name, "relnamespace": c.namespace, "relkind": c.kind}
		switch {
		case c.kind == "i":
			r["relam"], r["relnatts"] = int64(btree), int64(len(c.table.keys()))
		case c.kind == "r":
			r["relam"] = int64(heap)
		}
		if c.kind == "r" && c.table != nil {
			r["relnatts"], r["reltuples"], r["relpages"] = int64(len(c.table.Columns)), float64(c.table.Rows), (c.table.Bytes+8191)/8192
			r["relhasindex"] = len(c.table.keys()) > 0
			r["relacl"] = &array{list: []Value{"=r/" + ownerName}} // everybody may read
		}
		add(r)
	}
}

func fillAttribute(db *Database, add func(rowOf)) {
	for _, c := range db.classes() {
		if c.table == nil {
			continue
		}
		n := int64(0)
		for _, column := range c.table.Columns {
			if c.kind == "i" && !column.Key {
				continue
			}
			n++
			r := rowOf{"attrelid": c.oid, "attname": column.Name, "atttypid": int64(column.OID), "attnum": n, "attlen": int64(-1), "attalign": "i"}
			if t := typesByOID[column.OID]; t != nil {
				r["attlen"], r["attalign"] = int64(t.length), t.align
			} else {
				r["attndims"] = int64(1)
			}
			add(r)
		}
	}
}

func fillType(_ *Database, add func(rowOf)) {
	for _, t := range typeInfos {
		r := rowOf{"oid": int64(t.oid), "typname": t.name, "typlen": int64(t.length), "typcategory": t.category, "typalign": t.align, "typarray": int64(t.array)}
		addProcs(r, t.name)
		r["typbyval"] = t.length > 0 && t.length <= 8
		if t.category == "P" || t.category == "X" {
			r["typtype"] = "p"
		}
		if t.category == "A" {
			r["typelem"] = int64(elementType(t.oid))
		}
		add(r)
		if t.array != 0 {
			r := rowOf{"oid": int64(t.array), "typname": "_" + t.name, "typlen": int64(-1), "typcategory": "A", "typalign": t.align, "typelem": int64(t.oid)}
			addProcs(r, "array_")
			add(r)
		}
	}
}

// addProcs sets the functions of a type.
func addProcs(r rowOf, name string) {
	for i, column := range [...]string{"typinput", "typoutput", "typreceive", "typsend"} {
		if p, ok := procOf(name + procs[i]); ok {
			r[column] = p
		}
	}
}

// eachKey goes over the tables' keys.
func (db *Database) eachKey(visit func(index, table class)) {
	all := db.classes()
	for _, i := range all {
		if i.kind != "i" {
			continue
		}
		for _, t := range all {
			if t.kind == "r" && t.table == i.table {
				visit(i, t)
			}
		}
	}
}

func fillIndex(db *Database, add func(rowOf)) {
	db.eachKey(func(i, t class) {
		keys := i.table.keys()
		options := make([]Value, len(keys))
		for n := range options {
			options[n] = int64(0)
		}
		add(rowOf{"indexrelid": i.oid, "indrelid": t.oid, "indnatts": int64(len(keys)), "indnkeyatts": int64(len(keys)), "indkey": &array{keys, true}, "indoption": &array{options, true}})
	})
}

func fillConstraint(db *Database, add func(rowOf)) {
	db.eachKey(func(i, t class) {
		add(rowOf{"oid": i.oid + 1<<26, "conname": i.name, "conrelid": t.oid, "conindid": i.oid, "conkey": &array{list: i.table.keys()}})
	})
}

func fillRoles(name, oid string) func(*Database, func(rowOf)) {
	return func(db *Database, add func(rowOf)) {
		add(rowOf{oid: int64(owner), name: ownerName})
		if db.User != ownerName {
			add(rowOf{oid: int64(16384), name: db.User})
		}
	}
}

func fillColumns(db *Database, add func(rowOf)) {
	for _, t := range db.Tables {
		for i, c := range t.Columns {
			r := rowOf{"table_catalog": db.Name, "table_name": t.Name, "column_name": c.Name, "ordinal_position": int64(i + 1), "udt_catalog": db.Name, "dtd_identifier": text(int64(i + 1))}
			if info := typesByOID[c.OID]; info != nil {
				r["data_type"], r["udt_name"] = info.title, info.name
			} else if info := typesByArray[c.OID]; info != nil {
				r["data_type"], r["udt_name"] = "ARRAY", "_"+info.name
			}
			switch c.OID {
			case oidInt8:
				r["numeric_precision"], r["numeric_precision_radix"], r["numeric_scale"] = int64(64), int64(2), int64(0)
			case oidFloat8:
				r["numeric_precision"], r["numeric_precision_radix"] = int64(53), int64(2)
			case oidNumeric:
				r["numeric_precision_radix"] = int64(10)
			case oidTimestamptz, oidInterval:
				r["datetime_precision"] = int64(6)
			}
			add(r)
		}
	}
}

func fillKeyColumns(db *Database, add func(rowOf)) {
	for _, t := range db.Tables {
		n := int64(0)
		for _, c := range t.Columns {
			if !c.Key {
				continue
			}
			n++
			add(rowOf{"constraint_catalog": db.Name, "constraint_name": t.keyName(), "table_catalog": db.Name, "table_name": t.Name, "column_name": c.Name, "ordinal_position": n})
		}
	}
}

// indexDef is what pg_get_indexdef says of a key.
func indexDef(c class) string {
	return "CREATE UNIQUE INDEX " + quoteIdent(c.name) + " ON public." + quoteIdent(c.table.Name) + " USING btree (" + keyColumns(c) + ")"
}

func keyColumns(c class) string {
	var names []string
	for _, column := range c.table.Columns {
		if column.Key {
			names = append(names, quoteIdent(column.Name))
		}
	}
	return strings.Join(names, ", ")
}

// quoteIdent is a name as it stands in SQL.
func quoteIdent(s string) string {
	plain := s != ""
	for i, r := range s {
		plain = plain && (r >= 'a' && r <= 'z' || r == '_' || i > 0 && r >= '0' && r <= '9')
	}
	for _, word := range reserved {
		plain = plain && word != s
	}
	if plain {
		return s
	}
	return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
}
