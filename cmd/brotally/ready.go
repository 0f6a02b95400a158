package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/brotally/brotally/views"
)

func newReady(p *program) *cobra.Command {
	var server string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "ready",
		Short: "Ask a running server whether it is ready; for health checks",
		Long: `Ask a running server whether it is ready: exit code 0 if it is, else 1 and what it waits for.

The server is the one that answers look-ups, or the operators' port (run --admin-listen), which knows of the stages too.`,
		Example: "  brotally ready\n" +
			"  brotally ready --server http://127.0.0.1:9090",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.askReady(cmd.Context(), server, timeout) },
	}
	cmd.Flags().StringVar(&server, "server", "http://"+views.DefaultAddr, "`URL` of the server")
	cmd.Flags().DurationVar(&timeout, "timeout", 5*time.Second, "how long to wait for the answer")
	return cmd
}

// readyAnswer is what both ports answer at /readyz: tables are the views' on the one, which the other calls views.
type readyAnswer struct {
	Ready   bool         `json:"ready"`
	Tables  []readyTable `json:"tables"`
	Views   []readyTable `json:"views"`
	Stages  []readyStage `json:"stages"`
	Waiting int          `json:"not_started"`
}

func (p *program) askReady(ctx context.Context, server string, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if !strings.Contains(server, "://") {
		server = "http://" + server
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(server, "/")+"/readyz", nil)
	if err != nil {
		return &usageError{fmt.Errorf("--server: %w", err)}
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	got, err := client.Do(r)
	if err != nil {
		return fmt.Errorf("%s does not answer: %w", server, err)
	}
	defer got.Body.Close() //nolint:errcheck // it was read
	var answer readyAnswer
	if err := json.NewDecoder(io.LimitReader(got.Body, 1<<20)).Decode(&answer); err != nil {
		return fmt.Errorf("%s answers %s, which is not Brotally's: %w", server, got.Status, err)
	}
	if got.StatusCode == http.StatusOK && answer.Ready {
		fmt.Fprintln(p.stdout, "ready")
		return nil
	}
	return fmt.Errorf("not ready: %s", strings.Join(answer.reasons(), ", "))
}

// reasons says what is not ready.
func (a *readyAnswer) reasons() (all []string) {
	for _, t := range append(a.Tables, a.Views...) {
		if !t.Ready {
			text := t.Name + " " + t.State
			if t.Total > 0 {
				text += fmt.Sprintf(" (%s of %s changelog records are read)", thousands(t.Done), thousands(t.Total))
			}
			all = append(all, text)
		}
	}
	for _, s := range a.Stages {
		if s.State != "running" {
			text := s.Group + " is " + s.State
			if s.Remaining > 0 {
				text += fmt.Sprintf(" (%s changelog records are left)", thousands(s.Remaining))
			}
			all = append(all, text)
		}
	}
	if a.Waiting > 0 {
		all = append(all, fmt.Sprintf("%d tables or streams are not started, mostly for want of their topics", a.Waiting))
	}
	if len(all) == 0 {
		all = append(all, "it does not say why")
	}
	return all
}
