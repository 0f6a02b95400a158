package main

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"

	"github.com/brotally/brotally/internal/metrics"
	"github.com/brotally/brotally/processors"
	"github.com/brotally/brotally/views"
)

// operators is what the operators' port answers: /metrics, /healthz, /readyz, and profiles under /debug/pprof/, which no other
// port has. Parts that do not run are nil.
type operators struct {
	metrics *metrics.Metrics
	stages  *processors.Processors
	views   *views.Views
}

func (o *operators) handler(c views.ServerConfig) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/metrics", onlyRead(o.metrics.Handler(c.Log).ServeHTTP))
	mux.Handle("/healthz", onlyRead(func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]string{"status": "ok"})
	}))
	mux.Handle("/readyz", onlyRead(o.readyz))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		views.Refuse(w, http.StatusNotFound, "not_found", "there is nothing at "+r.URL.Path, "the operators' port has /metrics, /healthz, /readyz and /debug/pprof/")
	})
	for path, h := range map[string]http.HandlerFunc{
		"/debug/pprof/": pprof.Index, "/debug/pprof/cmdline": pprof.Cmdline, "/debug/pprof/profile": pprof.Profile,
		"/debug/pprof/symbol": pprof.Symbol, "/debug/pprof/trace": pprof.Trace,
	} {
		mux.Handle(path, onlyLocal(h))
	}
	return views.Guard(c, mux)
}

// readyStage and readyTable are parts of the answer of /readyz.
type readyStage struct {
	Stage     string `json:"stage"`
	Group     string `json:"group"`
	State     string `json:"state"`
	Remaining int64  `json:"remaining,omitempty"` // changelog offsets to be read, as long as it restores
}

type readyTable struct {
	Name  string `json:"name"`
	Ready bool   `json:"ready"`
	State string `json:"state"`
	Done  int64  `json:"done"` // changelog offsets read, of Total; both 0 while that is not known
	Total int64  `json:"total"`
}

// readyz answers 200 when every stage has joined its group and has its rows, and every view its table; else 503 and which
// have not.
func (o *operators) readyz(w http.ResponseWriter, _ *http.Request) {
	ready, waiting, stages, all := true, 0, []readyStage{}, []readyTable{}
	if o.stages != nil {
		now := o.stages.Snapshot()
		ready, waiting = now.Ready(), now.Defined-now.Started
		for _, s := range now.Stages {
			stages = append(stages, readyStage{s.Stage, s.Group, s.State.String(), s.Rows.Remaining})
		}
	}
	if o.views != nil {
		for _, v := range o.views.All() {
			ready = ready && v.Ready()
			done, total := v.Recovery()
			all = append(all, readyTable{v.Table().Name, v.Ready(), v.State(), done, total})
		}
	}
	status := http.StatusOK
	if !ready {
		status = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", "1")
	}
	answer(w, status, map[string]any{"ready": ready, "not_started": waiting, "stages": stages, "views": all})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // who went away needs no answer
}

// onlyRead lets through what asks for something.
func onlyRead(h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			views.Refuse(w, http.StatusMethodNotAllowed, "method_not_allowed", r.URL.Path+" does not take "+r.Method, "use GET")
			return
		}
		h(w, r)
	})
}

// onlyLocal lets through what comes from this machine: a heap profile may hold what logs say, and a CPU profile costs.
func onlyLocal(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		if at != nil {
			if addr, err := netip.ParseAddrPort(at.String()); err == nil && addr.Addr().Unmap().IsLoopback() {
				h.ServeHTTP(w, r)
				return
			}
		}
		views.Refuse(w, http.StatusForbidden, "forbidden", "profiles are for this machine alone", "connect over loopback, such as through ssh -L or kubectl port-forward")
	})
}
