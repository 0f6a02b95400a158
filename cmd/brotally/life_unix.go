//go:build unix && !linux

package main

import (
	"os/exec"
	"syscall"
)

// ownLife has the terminal's Ctrl-C not reach the process. It ends with its standard input.
func ownLife(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
