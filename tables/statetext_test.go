package tables

import "testing"

// TestStateText: what a row holds decides, not how it is shown.
func TestStateText(t *testing.T) {
	t.Parallel()
	const was = `CREATE TABLE t AS SELECT id.orig_h, qtype_name, count(*) AS n, max(rtt) FILTER (WHERE rejected) AS worst FROM dns WHERE qtype = 1 GROUP BY 1, 2 HAVING count(*) > 5`
	for _, c := range []struct {
		name, now string
		same      bool
	}{
		{"another HAVING", `CREATE TABLE t AS SELECT id.orig_h, qtype_name, count(*) AS n, max(rtt) FILTER (WHERE rejected) AS worst FROM dns WHERE qtype = 1 GROUP BY 1, 2 HAVING count(*) > 9`, true},
		{"no HAVING, another topic", `CREATE TABLE t WITH (topic = 'x') AS SELECT id.orig_h, qtype_name, count(*) AS n, max(rtt) FILTER (WHERE rejected) AS worst FROM dns WHERE qtype = 1 GROUP BY 1, 2`, true},
		{"other names and expressions over the same aggregates", `CREATE TABLE t AS SELECT id.orig_h, qtype_name, count(*) + 1 AS more, max(rtt) FILTER (WHERE rejected) AS w FROM dns WHERE qtype = 1 GROUP BY 1, 2`, true},
		{"another name", `CREATE TABLE u AS SELECT id.orig_h, qtype_name, count(*) AS n, max(rtt) FILTER (WHERE rejected) AS worst FROM dns WHERE qtype = 1 GROUP BY 1, 2`, true},
		{"another WHERE", `CREATE TABLE t AS SELECT id.orig_h, qtype_name, count(*) AS n, max(rtt) FILTER (WHERE rejected) AS worst FROM dns WHERE qtype = 2 GROUP BY 1, 2`, false},
		{"another FILTER", `CREATE TABLE t AS SELECT id.orig_h, qtype_name, count(*) AS n, max(rtt) FILTER (WHERE NOT rejected) AS worst FROM dns WHERE qtype = 1 GROUP BY 1, 2`, false},
		{"an aggregate more", `CREATE TABLE t AS SELECT id.orig_h, qtype_name, count(*) AS n, max(rtt) FILTER (WHERE rejected) AS worst, min(rtt) FROM dns WHERE qtype = 1 GROUP BY 1, 2`, false},
		{"aggregates in another order", `CREATE TABLE t AS SELECT id.orig_h, qtype_name, max(rtt) FILTER (WHERE rejected) AS worst, count(*) AS n FROM dns WHERE qtype = 1 GROUP BY 1, 2`, false},
		{"a key less", `CREATE TABLE t AS SELECT id.orig_h, count(*) AS n, max(rtt) FILTER (WHERE rejected) AS worst FROM dns WHERE qtype = 1 GROUP BY 1`, false},
		{"a key of another name: it is in the result's keys", `CREATE TABLE t AS SELECT id.orig_h AS host, qtype_name, count(*) AS n, max(rtt) FILTER (WHERE rejected) AS worst FROM dns WHERE qtype = 1 GROUP BY 1, 2`, false},
		{"windows", `CREATE TABLE t AS SELECT window_start, id.orig_h, qtype_name, count(*) AS n, max(rtt) FILTER (WHERE rejected) AS worst FROM dns WHERE qtype = 1 WINDOW TUMBLING (SIZE 1 HOUR) GROUP BY id.orig_h, qtype_name`, false},
	} {
		if got := mustCompile(t, was).StateText() == mustCompile(t, c.now).StateText(); got != c.same {
			t.Errorf("%s: same state %v, want %v", c.name, got, c.same)
		}
	}
	const hourly = `CREATE TABLE t AS SELECT window_start, count(*) AS n FROM dns WINDOW TUMBLING (SIZE 1 HOUR, GRACE 5 MINUTES) GROUP BY window_start`
	for now, same := range map[string]bool{
		`CREATE TABLE t AS SELECT window_start, count(*) AS n FROM dns WINDOW TUMBLING (SIZE 1 HOUR, RETENTION 3 DAYS) GROUP BY window_start`:         true,
		`CREATE TABLE t AS SELECT window_start, count(*) AS n FROM dns WINDOW TUMBLING (SIZE 2 HOURS) GROUP BY window_start`:                          false,
		`CREATE TABLE t AS SELECT window_start, count(*) AS n FROM dns WINDOW TUMBLING (SIZE 1 HOUR) ON ts + INTERVAL '1 hour' GROUP BY window_start`: false,
	} {
		if got := mustCompile(t, hourly).StateText() == mustCompile(t, now).StateText(); got != same {
			t.Errorf("%s: same state %v, want %v", now, got, same)
		}
	}
}
