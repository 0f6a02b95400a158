// Package testdata finds the real logs and the truth tables that tests read. They are not part of the repository: they
// lie in the folder that BROTALLY_TESTDATA names, else in ../shared/data beside the checkout.
package testdata

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// Dir returns the folder of test data. Where there is none the test is skipped and says so; with BROTALLY_REQUIRE_DATA
// set it fails instead, so that a build which must have it cannot pass without.
func Dir(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("BROTALLY_TESTDATA")
	if dir == "" {
		_, file, _, _ := runtime.Caller(0)
		dir = filepath.Join(filepath.Dir(file), "..", "..", "..", "shared", "data")
	}
	if _, err := os.Stat(filepath.Join(dir, "logs")); err != nil {
		const text = "no test data: %v (set BROTALLY_TESTDATA to a folder with logs/ and truth/)"
		if os.Getenv("BROTALLY_REQUIRE_DATA") != "" {
			t.Fatalf(text, err)
		}
		t.Skipf(text, err)
	}
	return dir
}
