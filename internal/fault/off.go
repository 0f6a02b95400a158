//go:build !faults

package fault

// Point does nothing in a normal build.
func Point(stage, name string) {}

// Off reports false in a normal build: every protection is in place.
func Off(protection string) bool { return false }
