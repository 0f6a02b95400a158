package tests

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/brotally/brotally/feeds"
	"github.com/brotally/brotally/internal/testdata"
	"github.com/brotally/brotally/internal/testkafka"
	"github.com/brotally/brotally/internal/testregistry"
)

// avroQuery has columns of all types that a result can have but subnet.
const avroQuery = `SELECT id.orig_h, query, count(*) AS count, max(qtype_name) AS qtype, sum(trans_id) AS ids, max(qclass) AS class, max(id.resp_p) AS port, max(ts) AS newest, sum(rtt) AS waited,
	avg(rcode) AS rcode, array_agg(DISTINCT rcode_name) AS codes, bool_or(rejected) AS rejected, min(rtt) AS quickest
FROM dns GROUP BY 1, 2 HAVING count(*) % 7 <> 0`

// TestAvroOnARealBroker sends the m57 logs in Avro to a real broker, with their schema in a real registry, keeps a table and
// a stream in Avro, and reads the table with Confluent's deserializer for Python and Apicurio's for Java: each must have the
// keys and values that a look-up has, which are those of the same query over the log file.
func TestAvroOnARealBroker(t *testing.T) {
	brokers := testkafka.Brokers(t)
	registry := testregistry.StartApicurio(t)
	log := filepath.Join(testdata.Dir(t), "logs", "tsv", "m57", "dns.log.gz")
	app := fmt.Sprintf("avro-%d", os.Getpid())
	input, result := app+"-dns", app+"-result"
	t.Cleanup(func() { deleteTopics(t, brokers, app) })
	t.Setenv("BROTALLY_SCHEMA_REGISTRY", registry.URL)

	run(t, brotally(t, "replay", "dns="+log, "--avro", "-b", brokers[0], "--feed", "dns="+input, "--create-topics", "4"))
	definitions := filepath.Join(t.TempDir(), "tables.sql")
	text := fmt.Sprintf("CREATE TABLE t WITH (topic = '%s', format = 'avro') AS %s;\nCREATE STREAM s WITH (topic = '%s', format = 'avro') AS SELECT ts, query FROM dns WHERE rejected;\n", result, avroQuery, app+"-stream")
	if err := os.WriteFile(definitions, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	want := avroRows(t, run(t, brotally(t, "try", "-e", avroQuery, "dns="+log, "-o", "ndjson")))
	if len(want) < 50 {
		t.Fatalf("only %d rows: is that the log?", len(want))
	}

	port := startBrotally(t, "run", definitions, "-b", brokers[0], "--app", app, "--feed", "dns="+input)
	var got map[string]any
	for end := time.Now().Add(time.Minute); ; {
		out, err := brotally(t, "query", "SELECT * FROM t", "--server", "http://127.0.0.1:"+port, "-o", "ndjson").Output()
		if got = avroRows(t, string(out)); err == nil && cmp.Equal(want, got) {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the table is not there after a minute: %v (-want +got):\n%s", err, cmp.Diff(want, got))
		}
		time.Sleep(200 * time.Millisecond) // it is another process's
	}

	for name, cmd := range map[string]*exec.Cmd{
		"Confluent's deserializer for Python": exec.Command(avroPython(t), "avro/read_table.py", brokers[0], result, registry.URL),
		"Apicurio's deserializer for Java":    exec.Command("java", "-XX:TieredStopAtLevel=1", "-Dstdout.encoding=UTF-8", "-cp", registry.Serde, "avro/ReadTable.java", brokers[0], result, registry.Native),
	} {
		t.Run(name, func(t *testing.T) {
			got := map[string]any{}
			for line := range strings.Lines(run(t, cmd)) {
				key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
				k, row := avroObject(t, key), avroObject(t, value)
				if want := map[string]any{"id_orig_h": row["id_orig_h"], "query": row["query"]}; !cmp.Equal(want, k) {
					t.Fatalf("the key of %s is %s", value, key)
				}
				got[rowKey(row)] = row
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the topic does not have the table (-want +got):\n%s", diff)
			}
			t.Logf("%d rows, all equal", len(got))
		})
	}
}

// startBrotally starts a server on a port that it returns, and stops it when the test ends.
func startBrotally(t *testing.T, args ...string) (port string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ = net.SplitHostPort(l.Addr().String())
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := brotally(t, append(args, "--listen", "127.0.0.1:"+port)...)
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt) // it may have ended
		_ = cmd.Wait()
		if t.Failed() || strings.Contains(log.String(), "level=WARN") {
			t.Errorf("log of brotally:\n%s", log.Bytes())
		}
	})
	return port
}

// avroPython returns a Python that has the pinned clients.
func avroPython(t *testing.T) string {
	t.Helper()
	requirements, err := os.ReadFile("avro/requirements.txt")
	if err != nil {
		t.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(requirements)
	dir := filepath.Join(cache, "brotally", "avro-"+hex.EncodeToString(sum[:6]))
	python := filepath.Join(dir, "bin", "python")
	if exec.Command(python, "-c", "import confluent_kafka.schema_registry.avro").Run() != nil {
		run(t, exec.Command("python3", "-m", "venv", "--clear", dir))
		run(t, exec.Command(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", "avro/requirements.txt"))
	}
	return python
}

// avroRows returns rows of NDJSON by their key, with the names that they have in Avro.
func avroRows(t *testing.T, ndjson string) map[string]any {
	t.Helper()
	rows := map[string]any{}
	for line := range strings.Lines(ndjson) {
		row := map[string]any{}
		for name, v := range avroObject(t, line) {
			row[feeds.AvroName(name)] = v
		}
		rows[rowKey(row)] = row
	}
	return rows
}

func rowKey(row map[string]any) string { return fmt.Sprint(row["id_orig_h"], " ", row["query"]) }

// avroObject reads an object. A number is a fraction in lowest terms, for 1.0 and 1 are one; one with a point or an exponent
// is a double, whose nearest text not all writers find.
func avroObject(t *testing.T, text string) map[string]any {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var object map[string]any
	if err := dec.Decode(&object); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	for name, v := range object {
		n, ok := v.(json.Number)
		if !ok {
			continue
		}
		r, ok := new(big.Rat).SetString(n.String())
		if strings.ContainsAny(n.String(), ".eE") {
			f, err := n.Float64()
			if err != nil {
				t.Fatal(err)
			}
			r = new(big.Rat).SetFloat64(f)
		} else if !ok {
			t.Fatalf("%s: no number", n)
		}
		object[name] = r.RatString()
	}
	return object
}
