package main

import (
	"os/exec"
	"syscall"
)

// ownLife has the terminal's Ctrl-C not reach the process, which ends with the thread that starts it at the latest.
func ownLife(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
