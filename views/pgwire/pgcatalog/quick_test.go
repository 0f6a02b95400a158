package pgcatalog

import (
	"context"
	"fmt"
	"testing"
)

func TestQuick(t *testing.T) {
	db := &Database{Name: "b", User: "u", Version: "PostgreSQL 16.0", Tables: []Table{{Name: "dns_counts", Columns: []Column{{"id.orig_h", 869, true}, {"qtype_name", 25, true}, {"count", 20, false}}}}}
	for _, q := range []string{"select 1, 'x', null as n, version()", "select c.relname, a.attname, format_type(a.atttypid,-1), a.atttypid::regtype from pg_class c join pg_attribute a on a.attrelid=c.oid where c.relkind='r' order by a.attnum", "select 'dns_counts'::regclass, (select count(*) from pg_type), array(select nspname from pg_namespace order by 1)",
		"select i.indkey, (information_schema._pg_expandarray(i.indkey)).n from pg_index i", "select relkind, count(*) n from pg_class group by 1 having count(*)>1 order by n desc",
		"SELECT unnest(conkey), generate_subscripts(conkey,1) from pg_constraint"} {
		p, err := Parse(q)
		if err != nil {
			t.Error(q, err)
			continue
		}
		r, err := p.Run(context.Background(), db, nil)
		if err != nil {
			t.Error(q, err)
			continue
		}
		fmt.Println(r.Columns)
		for _, x := range r.Rows {
			fmt.Println("  ", x)
		}
	}
}
