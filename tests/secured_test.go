package tests

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/brotally/brotally/internal/testcert"
	"github.com/brotally/brotally/internal/testkafka"
)

const securedTables = `CREATE TABLE dns_counts AS SELECT id.orig_h, count(*) AS n FROM dns GROUP BY id.orig_h;
CREATE STREAM failed AS SELECT ts, id.orig_h FROM dns WHERE rcode_name = 'NXDOMAIN';
`

// TestSecuredRealBroker runs Brotally against a real broker that speaks TLS, asks for logins and allows nothing by itself: as
// a user with the rights that doctor names, and no others; and in all the ways that do not work.
func TestSecuredRealBroker(t *testing.T) {
	s := testkafka.StartSecured(t, "brotally", "noread", "nogroup", "noid", "nocreate", "nowrite", "nobody")
	w := &securedWorld{Secured: s, t: t, dir: t.TempDir()}
	w.file("tables.sql", securedTables)
	w.file("dns.ndjson", strings.Repeat(`{"ts":1.5,"id.orig_h":"10.0.0.1","rcode_name":"NXDOMAIN"}`+"\n", 3)+`{"ts":1.5,"id.orig_h":"10.0.0.2"}`+"\n")
	w.file("password", "brotally-secret\n")

	w.ok(w.as("admin", "replay", "dns.ndjson", "--create-topics", "2"))

	// Each right by itself would be enough for its first sign, so these users are looked at before there is anything.
	t.Run("rights that are missing", w.missingRights)
	t.Run("what is refused", w.refused)
	t.Run("doctor without rights", w.doctorWithoutRights)

	w.grant()
	t.Run("run", w.runWithLeastRights)
	t.Run("doctor", w.doctorWithRights)
	t.Run("OAUTHBEARER", w.oauth)
	t.Run("client certificate", w.clientCertificate)
	t.Run("reset", w.reset)
}

type securedWorld struct {
	*testkafka.Secured
	t   *testing.T
	dir string
}

func (w *securedWorld) file(name, text string) {
	if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// command is Brotally with arguments, in the folder of the test.
func (w *securedWorld) command(args ...string) *exec.Cmd {
	cmd := brotally(w.t, args...)
	cmd.Dir = w.dir
	return cmd
}

// as is Brotally on the SCRAM listener as a user.
func (w *securedWorld) as(user string, args ...string) *exec.Cmd {
	cmd := w.command(append(args, "-b", w.SCRAM, "--tls-ca", w.Authority.File, "-X", "sasl.mechanism=SCRAM-SHA-256", "-X", "sasl.username="+user)...)
	cmd.Env = append(os.Environ(), "BROTALLY_X_SASL_PASSWORD="+user+"-secret")
	return cmd
}

// ok runs a command that must work and returns its standard output.
func (w *securedWorld) ok(cmd *exec.Cmd) string {
	w.t.Helper()
	return run(w.t, cmd)
}

// fails runs a command that must end by itself, with an exit code and a text on standard error.
func (w *securedWorld) fails(t *testing.T, code int, says string, cmd *exec.Cmd) {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stop := time.AfterFunc(90*time.Second, func() { _ = cmd.Process.Kill() })
	err := cmd.Run()
	stop.Stop()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != code {
		t.Errorf("%v, want exit code %d\n%s", err, code, stderr.Bytes())
	}
	if !regexp.MustCompile(says).Match(stderr.Bytes()) {
		t.Errorf("it does not say %s:\n%s", says, stderr.Bytes())
	}
	if strings.Contains(stderr.String(), "-secret") {
		t.Errorf("it says a password:\n%s", stderr.Bytes())
	}
	t.Logf("%s", bytes.TrimSpace(stderr.Bytes()[max(0, stderr.Len()-600):]))
}

// refused is what is wrong about the connection and the login.
func (w *securedWorld) refused(t *testing.T) {
	look := func(b string, args ...string) *exec.Cmd {
		return w.command(append([]string{"doctor", "-b", b}, args...)...)
	}
	scram := []string{"-X", "sasl.mechanism=SCRAM-SHA-256", "-X", "sasl.username=brotally", "-X", "sasl.password.file=password"}
	ca := []string{"--tls-ca", w.Authority.File}
	expired, stranger := w.Expired(), testcert.New(t, t.TempDir()).File
	for name, test := range map[string]struct {
		code int
		says string
		cmd  *exec.Cmd
	}{
		"plain text to a TLS port":    {3, `the port speaks TLS; -X security.protocol=ssl`, look(w.SCRAM)},
		"a login without TLS":         {3, `the port speaks TLS; -X security.protocol=sasl_ssl`, look(w.SCRAM, scram...)},
		"TLS to a plain port":         {3, `the port speaks no TLS; -X security.protocol=plaintext`, look(w.Plain, ca...)},
		"unknown authority":           {3, `signed by an authority that is not trusted here: .*ssl.ca.location`, look(w.SCRAM, append(scram, "--tls")...)},
		"another authority":           {3, `signed by an authority that is not trusted here: .*ssl.ca.location`, look(w.SCRAM, append(scram, "--tls-ca", stranger)...)},
		"another host's certificate":  {3, `its certificate is not for kafka.example but for localhost, 127.0.0.1: .*tls.server_name`, look(w.SCRAM, append(scram, append(ca, "--tls-server-name", "kafka.example")...)...)},
		"no certificate of our own":   {4, `not allowed: our certificate: .*it asks for one: -X ssl.certificate.location`, look(w.Mutual, ca...)},
		"expired certificate":         {4, `not allowed: our certificate: .*CN=expired was valid from .* to .*: get a new one`, look(w.Mutual, append(ca, "--tls-cert", expired.CertFile, "--tls-key", expired.KeyFile)...)},
		"a login where there is none": {4, `the port has no logins: leave sasl.\* away`, look(w.Plain, scram...)},
		"no login where there is one": {4, `not allowed: log in as nobody; it wants a login: .*; it has SCRAM-SHA-256`, look(w.SCRAM, ca...)},
		"wrong password":              {4, `log in as brotally with SCRAM-SHA-256: .*wrong user or password`, look(w.SCRAM, append(ca, "-X", "sasl.mechanism=SCRAM-SHA-256", "-X", "sasl.username=brotally", "-X", "sasl.password=admin-secret")...)},
		"unknown user":                {4, `log in as mallory with SCRAM-SHA-256: .*wrong user or password`, look(w.SCRAM, append(ca, "-X", "sasl.mechanism=SCRAM-SHA-256", "-X", "sasl.username=mallory", "-X", "sasl.password=admin-secret")...)},
		"another mechanism":           {4, `log in as brotally with SCRAM-SHA-512: .*does not have this mechanism; it has SCRAM-SHA-256`, look(w.SCRAM, append(ca, "-X", "sasl.mechanism=SCRAM-SHA-512", "-X", "sasl.username=brotally", "-X", "sasl.password.file=password")...)},
		"PLAIN without TLS":           {2, `PLAIN sends the password as it is, so it needs TLS`, look(w.Plain, "-X", "sasl.mechanism=PLAIN", "-X", "sasl.username=brotally", "-X", "sasl.password.file=password")},
		"an encrypted or broken key":  {2, `tls: certificate .* with key`, look(w.Mutual, append(ca, "--tls-cert", expired.CertFile, "--tls-key", w.Authority.File)...)},
		"a file that is not there":    {2, `none.pem: no such file`, look(w.SCRAM, "--tls-ca", "none.pem")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w.fails(t, test.code, test.says, test.cmd)
		})
	}
}

// right is one right in the words of kafka-acls.
type right struct{ user, operation, kind, name string }

// allow gives rights to all resources of that name, or that begin with it where it ends in *.
func (w *securedWorld) allow(rights ...right) {
	w.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(w.Plain))
	if err != nil {
		w.t.Fatal(err)
	}
	defer client.Close()
	ask := kmsg.NewPtrCreateACLsRequest()
	for _, r := range rights {
		c := kmsg.NewCreateACLsRequestCreation()
		c.Principal, c.Host, c.PermissionType = "User:"+r.user, "*", kmsg.ACLPermissionTypeAllow
		name, prefixed := strings.CutSuffix(r.name, "*")
		c.ResourceName, c.ResourcePatternType = name, kmsg.ACLResourcePatternTypeLiteral
		if prefixed {
			c.ResourcePatternType = kmsg.ACLResourcePatternTypePrefixed
		}
		if c.Operation, err = kmsg.ParseACLOperation(r.operation); err == nil {
			c.ResourceType, err = kmsg.ParseACLResourceType(r.kind)
		}
		if err != nil {
			w.t.Fatal(err)
		}
		ask.Creations = append(ask.Creations, c)
	}
	res, err := ask.RequestWith(w.t.Context(), client)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, r := range res.Results {
		if r.ErrorCode != 0 {
			w.t.Fatalf("ACL: %d %v", r.ErrorCode, r.ErrorMessage)
		}
	}
}

// missingRights runs as users who lack one thing each.
func (w *securedWorld) missingRights(t *testing.T) {
	all := func(user, without string) (rights []right) {
		for _, r := range []right{
			{user, "Read", "topic", "dns"},
			{user, "Read", "topic", user + "-*"}, {user, "Write", "topic", user + "-*"}, {user, "Create", "topic", user + "-*"}, {user, "Delete", "topic", user + "-*"}, {user, "DescribeConfigs", "topic", user + "-*"},
			{user, "Read", "topic", user + "_counts"}, {user, "Write", "topic", user + "_counts"}, {user, "Create", "topic", user + "_counts"}, {user, "DescribeConfigs", "topic", user + "_counts"},
			{user, "Read", "group", user + "-*"}, {user, "Delete", "group", user + "-*"}, {user, "Write", "transactional_id", user + "-*"},
		} {
			switch without {
			case r.operation + " " + r.name, r.operation + " " + r.kind + " " + r.name:
				r.operation = "Describe" // so that it can be found
			case r.operation + " " + r.kind:
				continue
			}
			rights = append(rights, r)
		}
		return rights
	}
	var rights []right
	rights = append(rights, all("noread", "Read dns")...)
	rights = append(rights, all("nogroup", "Read group nogroup-*")...)
	rights = append(rights, all("noid", "Write transactional_id")...)
	rights = append(rights, all("nocreate", "Create topic")...)
	rights = append(rights, all("nowrite", "Write nowrite_counts")...)
	w.allow(rights...)
	for user, says := range map[string]string{
		"noread":   `not allowed: Read on topic dns: .*kafka-acls --add --allow-principal User:noread --operation Read --topic dns gives it`,
		"nogroup":  `not allowed: Read on group nogroup-\S+: .*kafka-acls --add --allow-principal User:nogroup --operation Read --group nogroup-\S+ gives it`,
		"nowrite":  `not allowed: Write on topic nowrite_counts: .*kafka-acls --add --allow-principal User:nowrite --operation Write --topic nowrite_counts gives it`,
		"noid":     `not allowed: Write on transactional id noid-catalog: .*kafka-acls --add --allow-principal User:noid --operation Write --transactional-id noid-catalog gives it`,
		"nocreate": `not allowed: Create on topic nocreate-catalog: .*kafka-acls --add --allow-principal User:nocreate --operation Create --topic nocreate-catalog gives it`,
		"nobody":   `not allowed: Describe on topic nobody-\S+: .*brotally doctor says what else is missing`,
	} {
		t.Run(user, func(t *testing.T) {
			t.Parallel()
			w.file(user+".sql", strings.ReplaceAll(strings.Split(securedTables, "\n")[0], "dns_counts", user+"_counts"))
			if user == "nobody" {
				w.file(user+".sql", securedTables)
			}
			w.fails(t, 4, says, w.as(user, "run", user+".sql", "--app", user, "--listen", "127.0.0.1:0"))
		})
	}
}

// doctorWithoutRights names everything at once.
func (w *securedWorld) doctorWithoutRights(t *testing.T) {
	cmd := w.as("nobody", "doctor", "tables.sql", "-o", "table")
	out, err := cmd.Output()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() == 0 {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		"fail  rights ", "missing: Read on topic dns\n", "--allow-principal User:nobody --operation Read --topic dns\n",
		"missing: Read, Delete on groups brotally-*", "missing: Write on transactional ids brotally-*", "missing: Read, Write, Create, Delete, DescribeConfigs on topics brotally-*",
		"missing: Read, Write, Create, DescribeConfigs on topic dns_counts\n", "missing: Write, Create, DescribeConfigs on topic failed\n",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("it does not say %q", want)
		}
	}
	t.Logf("%s%s", out, exit.Stderr)
}

// grant gives what doctor prints: what running takes as an administrator would, by the shell, the rest by its JSON, which is
// quicker than a Java program a line.
func (w *securedWorld) grant() {
	w.t.Helper()
	lines, _, _ := strings.Cut(w.ok(w.as("brotally", "doctor", "tables.sql", "--acls")), "# brotally doctor")
	lines = strings.ReplaceAll(lines, "--bootstrap-server "+w.SCRAM+" --command-config admin.properties", "--bootstrap-server "+w.Plain)
	cmd := exec.Command("bash", "-e")
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(testkafka.Tool(w.t, "kafka-acls"))+":"+os.Getenv("PATH"))
	cmd.Stdin = strings.NewReader(lines)
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("%v\n%s\n%s", err, lines, out)
	}
	var rest []right
	for line := range strings.Lines(w.ok(w.as("brotally", "doctor", "tables.sql", "--acls", "-o", "ndjson"))) {
		var r struct{ Purpose, Operation, Resource, Name, Pattern string }
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			w.t.Fatal(err)
		}
		if r.Purpose == "brotally run" {
			continue
		}
		if r.Pattern == "prefixed" {
			r.Name += "*"
		}
		if r.Resource == "cluster" {
			r.Name = "kafka-cluster"
		}
		rest = append(rest, right{"brotally", r.Operation, r.Resource, r.Name})
	}
	w.allow(rest...)
}

// consumer reads as admin.
func (w *securedWorld) rows(t *testing.T, topic string, want map[string]string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 60*time.Second)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(w.SCRAM), kgo.DialTLSConfig(w.Authority.Config()), kgo.SASL(scram.Auth{User: "admin", Pass: "admin-secret"}.AsSha256Mechanism()),
		kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.MetadataMinAge(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	got := map[string]string{}
	for !maps.Equal(got, want) {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("topic %s has %v, want %v", topic, got, want)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Value == nil {
				delete(got, string(r.Key))
			} else {
				got[string(r.Key)] = string(r.Value)
			}
		})
	}
}

// process is Brotally, running.
type process struct {
	*exec.Cmd
	log *bytes.Buffer
}

func (w *securedWorld) start(t *testing.T, cmd *exec.Cmd) process {
	t.Helper()
	s := process{cmd, &bytes.Buffer{}}
	cmd.Stderr = s.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // it has ended where the test got that far
	return s
}

func (s process) end(t *testing.T, signal os.Signal) {
	t.Helper()
	_ = s.Process.Signal(signal)
	err := s.Wait()
	if signal == os.Interrupt {
		if code := s.ProcessState.ExitCode(); code != 130 && code != 0 {
			t.Errorf("%v\n%s", err, s.log.Bytes())
		}
	}
	if strings.Contains(s.log.String(), "-secret") {
		t.Errorf("the log says a password:\n%s", s.log.Bytes())
	}
}

// runWithLeastRights counts, is stopped, killed and started again, and goes on each time.
func (w *securedWorld) runWithLeastRights(t *testing.T) {
	row := func(host string, n int) string { return fmt.Sprintf(`{"id.orig_h":"%s","n":%d}`, host, n) }
	for n, signal := range []os.Signal{os.Interrupt, os.Kill, os.Interrupt} {
		if n > 0 {
			w.ok(w.as("admin", "replay", "dns.ndjson"))
		}
		r := w.start(t, w.as("brotally", "run", "tables.sql", "--listen", "127.0.0.1:0", "--log-level", "debug"))
		w.rows(t, "dns_counts", map[string]string{"10.0.0.1": row("10.0.0.1", 3*(n+1)), "10.0.0.2": row("10.0.0.2", n+1)})
		if n == 2 {
			w.fails(t, 1, `reset dns_counts.*in use by 1 instance \(brotally@127.0.0.1\); stop them first`, w.as("brotally", "reset", "dns_counts"))
		}
		r.end(t, signal)
	}
}

func (w *securedWorld) doctorWithRights(t *testing.T) {
	out := w.ok(w.as("brotally", "doctor", "-o", "table"))
	for _, want := range []string{
		`ok +security +TLS 1.3, SCRAM-SHA-256 as User:brotally; the brokers' certificates are valid until`, `renew the brokers' certificates`,
		`ok +clock +`, `ok +settings +`, `ok +catalog +2 definitions`, `ok +rights +User:brotally has all 16 that running takes`,
		`ok +input dns +2 partitions, 12 offsets, kept until deleted, CreateTime; brotally-combine-dns: 0 members, 0 offsets behind`,
		`ok +table dns_counts +.*as they must be`, `ok +stream failed +failed as they must be`, `ok +transactions`, `ok +disk of broker 1 .*of ours`,
	} {
		want = strings.Replace(want, "ok +security", "warn +security", 1) // a test's certificates last a day
		if !regexp.MustCompile(`(?m)` + want).MatchString(out) {
			t.Errorf("it does not say %s", want)
		}
	}
	w.hang(t)
	if strings.Contains(out, "fail ") || strings.Contains(out, "\n?") {
		t.Error("something fails, or cannot be seen")
	}
	t.Log("\n" + out)
}

// hang looks at an input with a transaction that nobody ends, of an hour ago by its record.
func (w *securedWorld) hang(t *testing.T) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(w.Plain), kgo.TransactionalID("somebody"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: "dns", Value: []byte("{}"), Timestamp: time.Now().Add(-time.Hour)}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	w.fails(t, 1, `1 of \d+ checks fails`, w.as("brotally", "doctor"))
	out, _ := w.as("brotally", "doctor", "-o", "table").Output() // its error was looked at
	if !regexp.MustCompile(`fail +transactions +dns/0 is held up at offset \d+, since .*\n +kafka-transactions .* abort --topic dns --partition 0 --start-offset \d+\n`).Match(out) {
		t.Errorf("it does not name the transaction:\n%s", out)
	}
	if err := client.EndTransaction(t.Context(), kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
}

// oauth logs in by a token of an endpoint in this process. The broker takes tokens that nobody signed, as Kafka does unless it is
// told of an issuer.
func (w *securedWorld) oauth(t *testing.T) {
	issuer := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		id, secret, _ := r.BasicAuth()
		rw.Header().Set("Content-Type", "application/json")
		if secret != "oauth-secret" {
			rw.WriteHeader(http.StatusUnauthorized)
			_ = json.NewEncoder(rw).Encode(map[string]string{"error": "invalid_client"})
			return
		}
		part := func(v any) string {
			b, _ := json.Marshal(v)
			return base64.RawURLEncoding.EncodeToString(b)
		}
		now := time.Now().Unix()
		token := part(map[string]any{"alg": "none"}) + "." + part(map[string]any{"sub": id, "iat": now, "exp": now + 300}) + "."
		if r.FormValue("scope") == "broken" {
			token = "no.token.at-all"
		}
		_ = json.NewEncoder(rw).Encode(map[string]any{"access_token": token, "token_type": "bearer", "expires_in": 300})
	}))
	defer issuer.Close()
	w.file("client-secret", "oauth-secret\n")
	as := func(secret, scope string, args ...string) *exec.Cmd {
		cmd := w.command(append(args, "-b", w.OAuth, "--tls-ca", w.Authority.File, "-X", "sasl.mechanism=OAUTHBEARER", "-X", "sasl.oauthbearer.method=oidc",
			"-X", "sasl.oauthbearer.token.endpoint.url="+issuer.URL, "-X", "sasl.oauthbearer.client.id=brotally", "-X", "sasl.oauthbearer.scope="+scope)...)
		cmd.Env = append(os.Environ(), "BROTALLY_X_SASL_OAUTHBEARER_CLIENT_SECRET"+secret)
		return cmd
	}
	w.ok(as("_FILE=client-secret", "kafka", "doctor"))
	r := w.start(t, as("=oauth-secret", "kafka", "run", "tables.sql", "--listen", "127.0.0.1:0"))
	w.ok(w.as("admin", "replay", "dns.ndjson"))
	w.rows(t, "dns_counts", map[string]string{"10.0.0.1": `{"id.orig_h":"10.0.0.1","n":12}`, "10.0.0.2": `{"id.orig_h":"10.0.0.2","n":4}`})
	r.end(t, os.Interrupt)
	w.fails(t, 4, `log in with OAUTHBEARER: not allowed: client brotally: token from http\S+: 401 Unauthorized: invalid_client; see sasl.oauthbearer.client.id`, as("=wrong-secret", "kafka", "doctor"))
	w.fails(t, 4, `log in with OAUTHBEARER: .*the broker does not take the token`, as("=oauth-secret", "broken", "doctor"))
	w.fails(t, 4, `the port does not have this mechanism; it has OAUTHBEARER`, w.command("doctor", "-b", w.OAuth, "--tls-ca", w.Authority.File,
		"-X", "sasl.mechanism=PLAIN", "-X", "sasl.username=u", "-X", "sasl.password=p"))
}

// clientCertificate is who its subject says.
func (w *securedWorld) clientCertificate(t *testing.T) {
	pair := w.Authority.Client("brotally", time.Now().Add(90*24*time.Hour))
	cmd := w.command("doctor", "-b", w.Mutual, "--tls-ca", w.Authority.File, "--tls-cert", pair.CertFile, "--tls-key", pair.KeyFile, "-o", "table")
	out, _ := cmd.Output() // CN=brotally has other rights than brotally: none
	for _, want := range []string{`TLS 1.3, certificate of User:CN=brotally`, `ok +certificate +of CN=brotally, valid until .* \(89 days\)`, `--allow-principal User:CN=brotally --operation`} {
		if !regexp.MustCompile(want).Match(out) {
			t.Errorf("it does not say %s:\n%s", want, out)
		}
	}
}

// reset forgets, and what runs afterwards counts anew.
func (w *securedWorld) reset(t *testing.T) {
	list := w.ok(w.as("brotally", "reset", "--all"))
	for _, want := range []string{"would delete topic dns_counts\n", "would delete topic failed\n", "would delete group brotally-dns_counts\n", "would delete group brotally-combine-dns\n", "would delete catalog entry brotally-catalog: dns_counts\n"} {
		if !strings.Contains(list, want) {
			t.Errorf("the dry run does not say %q:\n%s", want, list)
		}
	}
	there := func() (names []string) {
		client, err := kgo.NewClient(kgo.SeedBrokers(w.Plain)) // a new one each: they remember topics
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		admin := kadm.NewClient(client)
		topics, err := admin.ListTopics(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		groups, err := admin.ListGroups(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return append(topics.Names(), groups.Groups()...)
	}
	has := func(names []string, prefix string) (n int) {
		for _, name := range names {
			if strings.HasPrefix(name, prefix) {
				n++
			}
		}
		return n
	}
	if names := there(); has(names, "brotally-dns_counts") != 3 || has(names, "brotally-combine-dns") != 1 || has(names, "dns_counts") != 1 {
		t.Errorf("after the dry run there are %v", names)
	}
	done := w.ok(w.as("brotally", "reset", "--all", "--execute"))
	if strings.ReplaceAll(list, "would delete", "deleting") != done {
		t.Errorf("it did something else than it said:\n%s", done)
	}
	if names := there(); has(names, "brotally-dns_counts") != 0 || has(names, "brotally-combine-") != 0 || has(names, "dns_counts") != 0 || has(names, "failed") != 0 {
		t.Errorf("after it there are %v", names)
	}
	w.fails(t, 2, `app brotally has no table or stream dns_counts; it has none`, w.as("brotally", "reset", "dns_counts"))

	w.file("anew.sql", strings.ReplaceAll(securedTables, "count(*) AS n", "count(*) + 1000 AS n"))
	r := w.start(t, w.as("brotally", "run", "anew.sql", "--listen", "127.0.0.1:0"))
	w.rows(t, "dns_counts", map[string]string{"10.0.0.1": `{"id.orig_h":"10.0.0.1","n":1012}`, "10.0.0.2": `{"id.orig_h":"10.0.0.2","n":1004}`})
	r.end(t, os.Interrupt)
}
