// Package metrics shows Prometheus what this process has done and how it stands.
//
//	m := metrics.New(metrics.Build{Version: "v1"})
//	m.Processors(stages)
//	m.Views(all)
//	mux.Handle("/metrics", m.Handler(log))
//
// Nothing is measured for each record: what is there is asked for when Prometheus comes by, and commits and HTTP requests
// report themselves. No label is ever made of what logs say: all of them are names that operators gave or numbers of partitions.
package metrics
