package pipeline

import "syscall"

// orphan says what becomes of the program when the tests die, as a panic makes them: it dies, too. It would look for its
// broker for ever, and find the one of another script, or of another day, that got the port.
var orphan = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
