//go:build !faults

package fault

import "net"

// Conn returns c itself in a normal build.
func Conn(stage string, c net.Conn) net.Conn { return c }
