//go:build !faults

package fault

// Point does nothing in a normal build.
func Point(stage, name string) {}

// Distinct returns 0 in a normal build: count(DISTINCT ..) has its usual limit.
func Distinct() int { return 0 }

// Off reports false in a normal build: every protection is in place.
func Off(protection string) bool { return false }
