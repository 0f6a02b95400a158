package main

import "github.com/spf13/cobra"

func newQuery(p *program) *cobra.Command {
	return &cobra.Command{Use: "query", Run: func(*cobra.Command, []string) {}}
}
