//go:build faults

package fault

import (
	"os"
	"strings"
	"time"
)

// Now returns the time of day, ahead by what the file says that BROTALLY_CLOCK names, such as 90s: a test may change it at any time.
func Now() time.Time {
	now := time.Now()
	name := os.Getenv("BROTALLY_CLOCK")
	if name == "" {
		return now
	}
	text, err := os.ReadFile(name)
	if os.IsNotExist(err) {
		return now
	}
	ahead, bad := time.ParseDuration(strings.TrimSpace(string(text)))
	if err != nil || bad != nil {
		panic("BROTALLY_CLOCK " + name + ": want a length of time")
	}
	return now.Add(ahead)
}
