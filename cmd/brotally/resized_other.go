//go:build !unix

package main

import "os"

// notifyResized does nothing: the size is looked at with each drawing.
func notifyResized(chan<- os.Signal) {}
