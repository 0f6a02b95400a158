package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/brotally/brotally/tables/sql"
)

const (
	envPrefix  = "BROTALLY_"
	configFile = "brotally.yaml"

	// onlyFlag marks flags that say what one invocation is to do: it would be a trap to have them in a file.
	onlyFlag = "brotally-only-flag"

	// ownLevel is the annotation of a command that logs more than warnings unless told otherwise.
	ownLevel = "brotally-log-level"
)

// settings are those of every command, and the layers that all settings come from: flags, then the environment, then
// brotally.yaml.
type settings struct {
	config    string
	logLevel  string
	logFormat string
}

func (s *settings) register(root *cobra.Command) {
	f := root.PersistentFlags()
	f.StringVar(&s.config, "config", "", "`FILE` with settings (default "+configFile+" if there is one)")
	f.StringVar(&s.logLevel, "log-level", "", "debug, info, warn or error (default info for run, else warn)")
	f.StringVar(&s.logFormat, "log-format", "text", "text or json")
	complete(root, "log-level", "debug", "info", "warn", "error")
	complete(root, "log-format", "text", "json")
}

// complete offers a flag's values to the shell.
func complete(cmd *cobra.Command, flag string, values ...string) {
	err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	if err != nil {
		panic(err) // the flag does not exist
	}
}

// mark notes something about a flag.
func mark(f *pflag.FlagSet, flag, note string) {
	if err := f.SetAnnotation(flag, note, []string{"true"}); err != nil {
		panic(err) // the flag does not exist
	}
}

// logger returns the log of a command.
func (s *settings) logger(w io.Writer, cmd *cobra.Command) (*slog.Logger, error) {
	name := s.logLevel
	if name == "" {
		name = cmd.Annotations[ownLevel]
	}
	if name == "" {
		name = "warn"
	}
	level, ok := levels[strings.ToLower(name)]
	if !ok {
		return nil, fmt.Errorf("--log-level %s: there are debug, info, warn, error", name)
	}
	o := &slog.HandlerOptions{Level: level}
	switch s.logFormat {
	case "text":
		return slog.New(slog.NewTextHandler(w, o)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, o)), nil
	}
	return nil, fmt.Errorf("--log-format %s: there are text, json", s.logFormat)
}

// layer gives every flag of cmd that was not given its value from the environment, or else from the file. It returns what
// is odd about variables: names that no command knows.
func (s *settings) layer(cmd *cobra.Command, environ []string) (odd []string, err error) {
	known := allFlags(cmd.Root())
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		rest, ours := strings.CutPrefix(name, envPrefix)
		if !ours || value == "" {
			continue
		}
		if property, ok := strings.CutPrefix(rest, "X_"); ok {
			if err := addProperty(cmd, property, value); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			continue
		}
		flag := string(normalize(nil, strings.ToLower(rest)))
		if !slices.Contains(known, flag) {
			if hint := sql.DidYouMean(flag, known); hint != "" {
				odd = append(odd, fmt.Sprintf("%s is no setting of ours; %s", name,
					strings.ReplaceAll(hint, sql.Closest(flag, known), envName(sql.Closest(flag, known)))))
			}
			continue
		}
		values := []string{value}
		if flag == "feed" || flag == "property" {
			values = strings.Fields(value)
		}
		if err := fill(cmd, flag, values...); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return odd, s.layerFile(cmd, known)
}

func envName(flag string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// allFlags returns the names of the flags that the environment and the file may set, of all commands.
func allFlags(root *cobra.Command) []string {
	names := map[string]bool{}
	add := func(f *pflag.Flag) {
		if !f.Hidden && f.Annotations[onlyFlag] == nil && f.Name != "help" && f.Name != "version" {
			names[f.Name] = true
		}
	}
	root.PersistentFlags().VisitAll(add)
	for _, c := range root.Commands() {
		c.Flags().VisitAll(add)
	}
	return slices.Sorted(maps.Keys(names))
}

// fill sets a flag that has no value yet. Flags that may be given several times keep those they have, before them.
func fill(cmd *cobra.Command, flag string, values ...string) error {
	f := cmd.Flags().Lookup(flag)
	if f == nil {
		return nil // another command's
	}
	if merged, ok := f.Value.(*pairs); ok {
		for _, v := range values {
			if err := merged.add(v); err != nil {
				return err
			}
		}
		return nil
	}
	if f.Changed {
		return nil
	}
	for _, v := range values {
		if err := cmd.Flags().Set(flag, v); err != nil {
			return err
		}
	}
	return nil
}

// addProperty sets the client setting that NAME means in BROTALLY_X_NAME, where _ stands for a dot or itself.
func addProperty(cmd *cobra.Command, name, value string) error {
	name = strings.ToLower(name)
	flat := strings.NewReplacer(".", "_", "-", "_")
	for _, property := range propertyNames() {
		if flat.Replace(property) == name {
			return fill(cmd, "property", property+"="+value)
		}
	}
	return fill(cmd, "property", strings.ReplaceAll(name, "_", ".")+"="+value) // its error suggests what was meant
}

// layerFile reads the file, if there is one.
func (s *settings) layerFile(cmd *cobra.Command, known []string) error {
	name := s.config
	if name == "" {
		name = configFile
	}
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) && s.config == "" {
		return nil
	}
	if err != nil {
		return fmt.Errorf("--config: %w", err)
	}
	var doc yaml.Node
	if err := yaml.NewDecoder(bytes.NewReader(text)).Decode(&doc); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: %w", name, err)
	}
	if len(doc.Content) == 0 {
		return nil
	}
	if doc.Content[0].Kind != yaml.MappingNode {
		return fmt.Errorf("%s: want settings, one a line: brokers: [kafka:9092]", name)
	}
	members := doc.Content[0].Content
	for i := 0; i+1 < len(members); i += 2 {
		if err := setting(cmd, members[i].Value, members[i+1], known); err != nil {
			return fmt.Errorf("%s:%d: %w", name, members[i].Line, err)
		}
	}
	return nil
}

// setting takes over one member of the file.
func setting(cmd *cobra.Command, key string, value *yaml.Node, known []string) error {
	switch key {
	case "feeds":
		if value.Kind != yaml.MappingNode {
			topics, err := scalars(value)
			if err == nil {
				err = fill(cmd, "feed", strings.Join(topics, ","))
			}
			return err
		}
		return eachMember(value, func(feed string, topics []string) error {
			return fill(cmd, "feed", feed+"="+strings.Join(topics, ","))
		})
	case "properties":
		return eachMember(value, func(property string, values []string) error {
			return fill(cmd, "property", property+"="+strings.Join(values, ","))
		})
	}
	flag := string(normalize(nil, key))
	if !slices.Contains(known, flag) || flag == "config" || flag == "feed" || flag == "property" {
		if hint := sql.DidYouMean(key, append(slices.Clone(known), "feeds", "properties")); hint != "" {
			return fmt.Errorf("no setting %s; %s", key, hint)
		}
		return fmt.Errorf("no setting %s", key)
	}
	values, err := scalars(value)
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	if err := fill(cmd, flag, values...); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return nil
}

// eachMember calls f for the members of a mapping whose values are scalars or lists of them.
func eachMember(node *yaml.Node, f func(name string, values []string) error) error {
	if node.Kind != yaml.MappingNode {
		return errors.New("want name: value, one a line")
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		values, err := scalars(node.Content[i+1])
		if err == nil {
			err = f(node.Content[i].Value, values)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", node.Content[i].Value, err)
		}
	}
	return nil
}

// scalars returns a scalar's text, or those of a list.
func scalars(node *yaml.Node) ([]string, error) {
	switch node.Kind {
	case yaml.AliasNode:
		return scalars(node.Alias)
	case yaml.ScalarNode:
		return []string{node.Value}, nil
	case yaml.SequenceNode:
		var all []string
		for _, n := range node.Content {
			one, err := scalars(n)
			if err != nil {
				return nil, err
			}
			all = append(all, one...)
		}
		return all, nil
	}
	return nil, errors.New("want a value or a list of values")
}

// pairs is a flag name=value that may be given several times. What comes first wins, so flags go before the environment
// and the file.
type pairs struct {
	kind   string // what values are, for help
	bare   string // the name of a value that is given without one; "" when each needs its own
	values map[string]string
	given  map[string]string // by flags alone, to tell twice from overridden
}

func newPairs(kind string) *pairs {
	return &pairs{kind: kind, values: map[string]string{}, given: map[string]string{}}
}

// String, Set and Type make it a flag's value.
func (p *pairs) String() string { return "" }

// Type is shown in help.
func (p *pairs) Type() string { return p.kind }

// Set takes one name=value from the command line. The same name twice is a mistake.
func (p *pairs) Set(pair string) error {
	name, value, ok := p.cut(pair)
	if !ok {
		return fmt.Errorf("want %s", p.kind)
	}
	if _, twice := p.given[name]; twice {
		if name == p.bare {
			return errors.New("given twice")
		}
		return fmt.Errorf("%s is given twice", name)
	}
	p.given[name], p.values[name] = value, value
	return nil
}

// cut splits name=value, or takes a value without name for the bare one's.
func (p *pairs) cut(pair string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(pair, "=")
	if !ok && p.bare != "" && pair != "" {
		return p.bare, pair, true
	}
	name = strings.TrimSpace(name)
	return name, value, ok && name != ""
}

// add takes one name=value from a lower layer.
func (p *pairs) add(pair string) error {
	name, value, ok := p.cut(pair)
	if !ok {
		return fmt.Errorf("want %s", p.kind)
	}
	if _, have := p.values[name]; !have {
		p.values[name] = value
	}
	return nil
}
