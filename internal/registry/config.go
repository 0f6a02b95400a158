package registry

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/sr"

	"github.com/brotally/brotally/internal/kafka"
)

// Prefix begins the names of a registry's properties.
const Prefix = "schema.registry."

// Config says where the registry is and as whom to ask it. It prints without its secrets.
type Config struct {
	URLs []string // of one registry; without a user's name, tried one after the other

	User, Password string // basic authentication; both empty for none
	Token          string // bearer authentication; empty for none

	TLS kafka.TLS // for https; Enable has no meaning

	// Timeout is how long one request may take. Defaults to 5 seconds.
	Timeout time.Duration
}

const redacted = "[hidden]"

// String shows the settings without password and token.
func (c Config) String() string {
	s := "url=" + strings.Join(c.URLs, ",")
	if c.User != "" {
		s += " user=" + c.User + " password=" + redacted
	}
	if c.Token != "" {
		s += " token=" + redacted
	}
	return s
}

// GoString is String: %#v must not show secrets either.
func (c Config) GoString() string { return c.String() }

// properties are the settings one may give, by the names that librdkafka's and the Java clients have for them.
var properties = map[string]func(c *Config, value string) error{
	Prefix + "url":                                 func(c *Config, v string) error { return c.addURLs(v) },
	Prefix + "basic.auth.user.info":                userInfo,
	Prefix + "basic.auth.credentials.source":       credentialsSource,
	Prefix + "bearer.auth.token":                   text(func(c *Config) *string { return &c.Token }),
	Prefix + "request.timeout.ms":                  timeout,
	Prefix + "ssl.ca.location":                     text(func(c *Config) *string { return &c.TLS.CAFile }),
	Prefix + "ssl.certificate.location":            text(func(c *Config) *string { return &c.TLS.CertFile }),
	Prefix + "ssl.key.location":                    text(func(c *Config) *string { return &c.TLS.KeyFile }),
	Prefix + "enable.ssl.certificate.verification": verify,
}

// PropertyNames returns the names of all settings, sorted.
func PropertyNames() []string { return slices.Sorted(maps.Keys(properties)) }

// Split returns the registry's settings of all that were given, with url in place of [Prefix]url if it is not empty, and those
// that are the Kafka clients'. The Config has no URLs when none is set. Errors are *[kafka.PropertyError].
func Split(url string, given map[string]string) (c Config, others map[string]string, err error) {
	others = map[string]string{}
	if url != "" {
		if err := c.addURLs(url); err != nil {
			return Config{}, nil, fmt.Errorf("--schema-registry: %w", err)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(given)) {
		name := strings.ToLower(strings.TrimSpace(key))
		if !strings.HasPrefix(name, Prefix) {
			others[key] = given[key]
			continue
		}
		set, known := properties[name]
		switch {
		case strings.Contains(name, "store.location"):
			return Config{}, nil, &kafka.PropertyError{Key: key, Why: "Java's key stores are not read", Hint: "take PEM files: " + Prefix + "ssl.ca.location, ssl.certificate.location, ssl.key.location"}
		case !known:
			return Config{}, nil, &kafka.PropertyError{Key: key, Why: "no such setting", Hint: "there are " + strings.Join(PropertyNames(), ", ")}
		case name == Prefix+"url" && url != "":
			continue // the flag wins: it is the more particular
		}
		if err := set(&c, strings.TrimSpace(given[key])); err != nil {
			return Config{}, nil, &kafka.PropertyError{Key: key, Why: err.Error()}
		}
	}
	if len(c.URLs) == 0 && len(others) < len(given) {
		return Config{}, nil, &kafka.PropertyError{Key: Prefix + "url", Why: "is missing, and other settings of a schema registry are there"}
	}
	if c.User != "" && c.Token != "" {
		return Config{}, nil, &kafka.PropertyError{Key: Prefix + "bearer.auth.token", Why: "is given beside a user: one of them is enough"}
	}
	return c, others, nil
}

// addURLs takes URLs, separated by commas. A user in one is who asks.
func (c *Config) addURLs(list string) error {
	for text := range strings.SplitSeq(list, ",") {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		if !strings.Contains(text, "://") {
			text = "http://" + text
		}
		u, err := url.Parse(text)
		switch {
		case err != nil:
			return errors.New("not a URL") // the parser's words repeat it, with the password that it may have
		case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
			return fmt.Errorf("%s: want http://HOST:PORT or https://HOST:PORT", u.Redacted())
		}
		if u.User != nil {
			c.User = u.User.Username()
			c.Password, _ = u.User.Password()
			u.User = nil
		}
		c.URLs = append(c.URLs, strings.TrimSuffix(u.String(), "/"))
	}
	if len(c.URLs) == 0 {
		return errors.New("want http://HOST:PORT")
	}
	return nil
}

func userInfo(c *Config, v string) error {
	user, password, ok := strings.Cut(v, ":")
	if !ok {
		return errors.New("want USER:PASSWORD")
	}
	c.User, c.Password = user, password
	return nil
}

func credentialsSource(_ *Config, v string) error {
	if s := strings.ToUpper(v); s != "USER_INFO" && s != "URL" {
		return fmt.Errorf("%q: there are USER_INFO and URL", v)
	}
	return nil
}

func timeout(c *Config, v string) error {
	ms, err := strconv.Atoi(v)
	if err != nil || ms < 1 || ms > 600_000 {
		return fmt.Errorf("%q is not a number of milliseconds between 1 and 600000", v)
	}
	c.Timeout = time.Duration(ms) * time.Millisecond
	return nil
}

func verify(c *Config, v string) error {
	on, err := strconv.ParseBool(strings.ToLower(v))
	if err != nil {
		return fmt.Errorf("%q is neither true nor false", v)
	}
	c.TLS.InsecureSkipVerify = !on
	return nil
}

func text(at func(*Config) *string) func(*Config, string) error {
	return func(c *Config, v string) error {
		*at(c) = v
		return nil
	}
}

// maxAnswer bounds what is read of an answer. The largest schemas are a few hundred kilobytes.
const maxAnswer = 16 << 20

// bounded cuts answers off: whatever sits at the URL is not to fill our memory.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		answer.Body = http.MaxBytesReader(nil, answer.Body, maxAnswer)
	}
	return answer, err
}

// client returns the client that speaks HTTP.
func (c Config) client() (*sr.Client, *http.Transport, error) {
	tls, err := c.TLS.Client()
	if err != nil {
		return nil, nil, fmt.Errorf("TLS of the schema registry: %w", err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = tls
	timeout := c.Timeout
	if timeout == 0 {
		timeout = 5 * time.Second
	}
	o := []sr.ClientOpt{sr.URLs(slices.Clone(c.URLs)...), sr.HTTPClient(&http.Client{Transport: bounded{transport}, Timeout: timeout}), sr.UserAgent("brotally")}
	if c.User != "" {
		o = append(o, sr.BasicAuth(c.User, c.Password))
	}
	if c.Token != "" {
		o = append(o, sr.BearerToken(c.Token))
	}
	cl, err := sr.NewClient(o...)
	return cl, transport, err
}
