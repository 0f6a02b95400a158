package kafka

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
)

const redacted = "[hidden]"

// Secret is a text that nothing prints: neither %v, %+v and %#v, at whatever depth of a struct, nor JSON, nor a log. The zero
// value holds none.
type Secret struct{ text *string } // a pointer, because fmt cannot call methods behind unexported fields: it prints an address there

// NewSecret returns text as a Secret.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{&text}
}

// Reveal returns the text.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// String says whether there is one.
func (s Secret) String() string {
	if s.text == nil {
		return ""
	}
	return redacted
}

// Format is String, for every verb.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.String()) }

// MarshalText is String.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue is String.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// secret says whether the property name holds something that must not be printed. Names of files are no secrets.
func secret(name string) bool {
	n := strings.ToLower(name)
	if strings.HasSuffix(n, ".file") || strings.HasSuffix(n, ".location") {
		return false
	}
	return strings.Contains(n, "pass") || strings.Contains(n, "secret") || strings.HasSuffix(n, ".key") || strings.HasSuffix(n, ".pem") || n == "sasl.jaas.config"
}

// fromFile returns the text, or else what is in the file without the line break at its end, as editors and echo leave one.
func fromFile(text Secret, file string) (Secret, error) {
	if text != (Secret{}) || file == "" {
		return text, nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return Secret{}, err
	}
	s := strings.TrimRight(string(b), "\r\n")
	if s == "" {
		return Secret{}, fmt.Errorf("%s is empty", file)
	}
	return NewSecret(s), nil
}
