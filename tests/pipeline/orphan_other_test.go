//go:build !linux

package pipeline

import "syscall"

// orphan is nothing where the system has no such thing.
var orphan *syscall.SysProcAttr
