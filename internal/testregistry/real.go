package testregistry

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Apicurio is a real registry: Apicurio, in a process of its own that ends with the test.
type Apicurio struct {
	URL    string // where it speaks as Confluent's does
	Native string // where it speaks its own tongue
	Serde  string // class path of its deserializer for Java, with the Kafka client
}

// StartApicurio starts one, which takes some five seconds. As with [testkafka.Brokers] the test is skipped without
// BROTALLY_REQUIRE_KAFKA=1 if it is not installed: it needs more than Go.
func StartApicurio(t testing.TB) *Apicurio {
	t.Helper()
	dir := install(t)
	port := freePort(t)
	base := "http://127.0.0.1:" + port
	var log bytes.Buffer
	cmd := exec.Command("java", "-Xmx400m", "-XX:TieredStopAtLevel=1", "-Dquarkus.http.host=127.0.0.1", "-Dquarkus.http.port="+port, "-Dquarkus.log.level=WARN",
		"-cp", strings.Join([]string{filepath.Join(dir, "app", "*"), filepath.Join(dir, "app", "lib", "*")}, string(os.PathListSeparator)), "io.quarkus.runner.GeneratedMain")
	cmd.Dir, cmd.Stdout, cmd.Stderr = t.TempDir(), &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }() // awaited by the cleanup
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		<-ended
	})
	a := &Apicurio{URL: base + "/apis/ccompat/v7", Native: base + "/apis/registry/v3", Serde: filepath.Join(dir, "serde", "*")}
	for end := time.After(2 * time.Minute); ; {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("the registry ended: %v\n%s", err, log.Bytes())
		case <-end:
			t.Fatal("the registry does not answer after two minutes")
		case <-time.After(100 * time.Millisecond):
		}
		if put(a.URL+"/config", `{"compatibility":"BACKWARD"}`) == nil { // as Confluent's has it
			return a
		}
	}
}

func put(url, body string) error {
	req, err := http.NewRequest(http.MethodPut, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer answer.Body.Close() //nolint:errcheck // nothing is read of it
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, answer.Status)
	}
	return nil
}

// install returns the folder that registry.sh fills.
func install(t testing.TB) string {
	t.Helper()
	if os.Getenv("BROTALLY_REQUIRE_KAFKA") != "1" {
		t.Skip("no Kafka: set BROKERS=host:port, or run make test-kafka, which brings a schema registry")
	}
	_, file, _, _ := runtime.Caller(0)
	var stderr bytes.Buffer
	cmd := exec.Command("bash", filepath.Join(filepath.Dir(file), "..", "..", "tests", "avro", "registry.sh"), "install")
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("no schema registry: tests/avro/registry.sh install: %v\n%s", err, stderr.Bytes())
	}
	return strings.TrimSpace(string(out))
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err == nil {
		err = l.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return port
}
