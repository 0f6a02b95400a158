package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/brotally/brotally/internal/metrics"
)

// version is set by the linker.
var version = "dev"

// libraries are those whose versions matter when something is reported, by module.
var libraries = [][2]string{
	{"goka", "github.com/lovoo/goka"}, {"sarama", "github.com/IBM/sarama"}, {"goavro", "github.com/linkedin/goavro/v2"},
}

// build returns what this program was built from.
func build() (b metrics.Build, modules map[string]string) {
	b, modules = metrics.Build{Version: version, Go: runtime.Version()}, map[string]string{}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b, modules
	}
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			b.Commit = s.Value[:min(12, len(s.Value))] + b.Commit
		case s.Key == "vcs.modified" && s.Value == "true":
			b.Commit += "+changes"
		}
	}
	for _, m := range info.Deps {
		modules[m.Path] = m.Version
		if m.Replace != nil {
			modules[m.Path] += " replaced by " + m.Replace.Path + " " + m.Replace.Version
		}
	}
	b.Goka, b.Sarama = modules["github.com/lovoo/goka"], modules["github.com/IBM/sarama"]
	return b, modules
}

func versionText() string {
	b, modules := build()
	commit := ""
	if b.Commit != "" {
		commit = ", commit " + b.Commit
	}
	var linked []string
	for _, l := range libraries {
		if v, ok := modules[l[1]]; ok {
			linked = append(linked, l[0]+" "+v)
		}
	}
	return fmt.Sprintf("brotally %s (%s %s/%s%s)\n%s", b.Version, b.Go, runtime.GOOS, runtime.GOARCH, commit, strings.Join(linked, ", "))
}
