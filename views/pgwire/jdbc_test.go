package pgwire

import (
	"os"
	"os/exec"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/brotally/brotally/views"
)

// TestJDBC runs testdata/Jdbc.java with the driver whose jar JDBC names (42.7.8), and compares what it prints with testdata/jdbc.txt.
func TestJDBC(t *testing.T) {
	jar := os.Getenv("JDBC")
	if jar == "" {
		t.Skip("no JDBC driver: set JDBC to the jar of org.postgresql:postgresql:42.7.8; it takes Java 17")
	}
	f := newFixture(t, Config{}, views.Limits{}, office(), dnsCounts, kinds)
	got, err := exec.CommandContext(t.Context(), "java", "-Duser.timezone=UTC", "-cp", jar, "testdata/Jdbc.java", "jdbc:postgresql://"+f.addr+"/brotally?user=analyst").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, got)
	}
	const file = "testdata/jdbc.txt"
	if *update {
		if err := os.WriteFile(file, got, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
