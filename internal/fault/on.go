//go:build faults

package fault

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// spec is BROTALLY_FAULT: STAGE:POINT:N kills the process, as kill -9 does, when STAGE ("combine", "group") comes to
// POINT for the N-th time.
var (
	stageWanted, pointWanted string
	countdown                atomic.Int64
	off                      = strings.Split(os.Getenv("BROTALLY_UNPROTECTED"), ",")
)

func init() {
	spec := os.Getenv("BROTALLY_FAULT")
	if spec == "" {
		return
	}
	parts := strings.Split(spec, ":")
	n, err := int64(0), error(nil)
	if len(parts) == 3 {
		n, err = strconv.ParseInt(parts[2], 10, 64)
	}
	if len(parts) != 3 || err != nil || n < 1 {
		fmt.Fprintf(os.Stderr, "BROTALLY_FAULT is %q, want STAGE:POINT:N\n", spec)
		os.Exit(2)
	}
	stageWanted, pointWanted = parts[0], parts[1]
	countdown.Store(n)
}

// Point kills the process here if BROTALLY_FAULT says so.
func Point(stage, name string) {
	if stage != stageWanted || name != pointWanted || countdown.Add(-1) != 0 {
		return
	}
	fmt.Fprintf(os.Stderr, "fault: killed at %s:%s\n", stage, name)
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // the signal is on its way; nothing more must happen
}

// Distinct returns up to how many values count(DISTINCT ..) is to be exact, as BROTALLY_DISTINCT says; 0: as usual.
func Distinct() int {
	n, err := strconv.Atoi(os.Getenv("BROTALLY_DISTINCT"))
	if err != nil {
		return 0
	}
	return n
}

// Off reports whether BROTALLY_UNPROTECTED names the protection.
func Off(protection string) bool { return slices.Contains(off, protection) }
