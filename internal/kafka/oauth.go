package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// OAuth says where OAUTHBEARER gets its tokens: from an OpenID Connect provider, for the client's own credentials (RFC 6749,
// section 4.4), as librdkafka's method oidc does. The zero value is nowhere.
type OAuth struct {
	TokenURL string // of the token endpoint; https, but on this machine
	ClientID string

	ClientSecret     Secret
	ClientSecretFile string // a file with the secret, read for each token; ClientSecret wins

	Scope      string // scopes to ask for, separated by blanks; empty is the provider's default
	Extensions string // name=value,.. for the broker (RFC 7628), such as Confluent Cloud's logicalCluster=lkc-1
	CAFile     string // PEM file of the authorities that the endpoint's certificate may be from; empty is the system's
}

// String leaves the secret out.
func (o OAuth) String() string {
	s := fmt.Sprintf("endpoint=%s client=%s", withoutUser(o.TokenURL), o.ClientID)
	if o.ClientSecret != (Secret{}) {
		s += " secret=" + redacted
	}
	return s
}

// GoString is String.
func (o OAuth) GoString() string { return o.String() }

// withoutUser leaves out what a URL says of user and password.
func withoutUser(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return redacted
	}
	u.User = nil
	return u.String()
}

// check returns what is missing. It asks nobody.
func (o OAuth) check() error {
	if o.TokenURL == "" || o.ClientID == "" || o.ClientSecret == (Secret{}) && o.ClientSecretFile == "" {
		return errors.New("sasl: OAUTHBEARER needs sasl.oauthbearer.token.endpoint.url, sasl.oauthbearer.client.id and sasl.oauthbearer.client.secret (or .client.secret.file)")
	}
	u, err := url.Parse(o.TokenURL)
	if err != nil || u.Host == "" || u.User != nil {
		return errors.New("sasl.oauthbearer.token.endpoint.url: want https://HOST/PATH, without user and password")
	}
	if u.Scheme != "https" && !(u.Scheme == "http" && loopback(u.Hostname())) {
		return fmt.Errorf("sasl.oauthbearer.token.endpoint.url: %s would send the client's secret as it is: want https", o.TokenURL)
	}
	if _, err := o.extensions(); err != nil {
		return err
	}
	if _, err := fromFile(o.ClientSecret, o.ClientSecretFile); err != nil {
		return fmt.Errorf("sasl.oauthbearer.client.secret.file: %w", err)
	}
	if _, err := o.client(); err != nil {
		return fmt.Errorf("https.ca.location: %w", err)
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (o OAuth) extensions() (map[string]string, error) {
	all := map[string]string{}
	for pair := range strings.SplitSeq(o.Extensions, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		name, value, ok := strings.Cut(pair, "=")
		if name = strings.TrimSpace(name); !ok || name == "" || strings.EqualFold(name, "auth") {
			return nil, fmt.Errorf("sasl.oauthbearer.extensions: %q is no name=value", pair)
		}
		all[name] = strings.TrimSpace(value)
	}
	return all, nil
}

// tokenPatience is how long one token may take.
const tokenPatience = 10 * time.Second

// client returns the HTTP client for the endpoint. It keeps no connection: a token is for many minutes.
func (o OAuth) client() (*http.Client, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	ca, err := readPEM(o.CAFile, "")
	if err != nil {
		return nil, err
	}
	if ca != nil {
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(ca) {
			return nil, fmt.Errorf("no PEM certificate in %s", o.CAFile)
		}
	}
	return &http.Client{Timeout: tokenPatience, Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: c, DisableKeepAlives: true}}, nil
}

// tokens gets tokens and keeps the last one for as long as it is valid. All clients of one Config share it: each connection
// of each of them asks for one.
type tokens struct {
	oauth OAuth

	mu   sync.Mutex // guards last, and lets one ask while the others wait
	last *oauth2.Token
}

// Token implements [sarama.AccessTokenProvider]. A provider that refuses is *[NotAllowed].
func (t *tokens) Token() (*sarama.AccessToken, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.last.Valid() {
		var err error
		if t.last, err = t.fetch(); err != nil {
			return nil, err
		}
	}
	extensions, err := t.oauth.extensions()
	if err != nil {
		return nil, err
	}
	return &sarama.AccessToken{Token: t.last.AccessToken, Extensions: maps.Clone(extensions)}, nil
}

func (t *tokens) fetch() (*oauth2.Token, error) {
	o := t.oauth
	op := "token from " + o.TokenURL
	secret, err := fromFile(o.ClientSecret, o.ClientSecretFile)
	if err != nil {
		return nil, fmt.Errorf("%s: client secret: %w", op, err)
	}
	client, err := o.client()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	c := clientcredentials.Config{ClientID: o.ClientID, ClientSecret: secret.Reveal(), TokenURL: o.TokenURL, Scopes: strings.Fields(o.Scope)}
	token, err := c.Token(context.WithValue(context.Background(), oauth2.HTTPClient, client))
	var refused *oauth2.RetrieveError
	var unreachable *url.Error
	switch {
	case err == nil:
		return token, nil
	case errors.As(err, &refused) && slices.Contains([]int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden}, refused.Response.StatusCode):
		// The answer's body may say anything, our secret too: only what the standard has is passed on.
		why := fmt.Errorf("%s: %s", op, refused.Response.Status)
		if refused.ErrorCode != "" {
			why = fmt.Errorf("%w: %s", why, or(refused.ErrorDescription, refused.ErrorCode))
		}
		return nil, &NotAllowed{Op: "log in with OAUTHBEARER", What: "client " + o.ClientID, WayOut: "see sasl.oauthbearer.client.id, .client.secret and .scope", Err: why}
	case errors.As(err, &refused):
		return nil, fmt.Errorf("%s: %s", op, refused.Response.Status)
	case errors.As(err, &unreachable):
		return nil, fmt.Errorf("%s: %w", op, unreachable.Err)
	}
	return nil, fmt.Errorf("%s: no token in the answer", op) // which could be quoted in err
}
