package main

import (
	"fmt"
	"slices"
	"strings"
)

// difference returns an error that says how counts differ from what they should be: nil only if every group has its count.
func difference(where string, want, got map[string]int64) error {
	var wrong []string
	var sumWant, sumGot int64
	for group, n := range want {
		sumWant += n
		if got[group] != n {
			wrong = append(wrong, group)
		}
	}
	for group, n := range got {
		sumGot += n
		if _, ok := want[group]; !ok {
			wrong = append(wrong, group)
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	slices.Sort(wrong)
	var shown []string
	for _, group := range wrong[:min(5, len(wrong))] {
		shown = append(shown, fmt.Sprintf("%s has %d, want %d", group, got[group], want[group]))
	}
	return fmt.Errorf("%s is not exact: %d of %d groups differ, %+d records in all: %s", where, len(wrong), len(want), sumGot-sumWant, strings.Join(shown, "; "))
}
