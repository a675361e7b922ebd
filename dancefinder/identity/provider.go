package identity

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// ClockSkew is how much the clocks of this server and of the provider may differ: a token counts
// for so long after its expiry, and so long before it is to be valid.
const ClockSkew = time.Minute

// DefaultRolesClaim is the default of [ProviderConfig.RolesClaim].
const DefaultRolesClaim = "roles"

// Bounds of what the provider is asked.
const (
	providerTimeout = 5 * time.Second
	providerAnswer  = 1 << 20 // bytes
	askAgain        = 5 * time.Second
)

// algorithms are those that a token may be signed with, whatever it says itself.
var algorithms = []string{oidc.RS256, oidc.ES256}

// ProviderConfig says which OpenID provider is asked.
type ProviderConfig struct {
	Options

	// Issuer is the provider's URL, exactly as its tokens have it in "iss". HTTPS, unless its host
	// is loopback. Required.
	Issuer string

	// Audience is what a bearer token has to have in "aud". Required. Where it is ClientID,
	// ID tokens of this application do as bearer tokens; an API of its own is better.
	Audience string

	// RolesClaim is where a token has the roles: the name of a claim, or a path such as
	// "realm_access.roles". Its value is a list of strings, or one string with blanks between.
	// Defaults to [DefaultRolesClaim].
	RolesClaim string

	// ClientID is that of this application at the provider. Without it there is no login for
	// the page, and bearer tokens only.
	ClientID string

	// ClientSecret is empty for a public client: PKCE is used in any case.
	ClientSecret string

	// RedirectURL is where the provider sends a person back to: the public URL of this server with the
	// path /login/callback. Required with ClientID; HTTPS, unless its host is loopback.
	RedirectURL string

	// Scopes are asked for besides "openid" and "profile".
	Scopes []string

	// Keys sign the sessions, the same on all nodes: the first one signs, all verify. Each has at
	// least [MinKey] bytes. Required with ClientID.
	Keys [][]byte

	// Session is how long a session lasts, whatever the provider's tokens do. Defaults to
	// [DefaultSession].
	Session time.Duration

	// HTTPClient is used to ask the provider. Defaults to one of its own.
	HTTPClient *http.Client
}

func (c ProviderConfig) validate() error {
	var problems []error
	if err := requireURL("Issuer", c.Issuer); err != nil {
		problems = append(problems, err)
	}
	if c.Audience == "" {
		problems = append(problems, errors.New("identity.ProviderConfig: Audience is empty"))
	}
	if c.ClientID != "" {
		if err := requireURL("RedirectURL", c.RedirectURL); err != nil {
			problems = append(problems, err)
		} else if redirect, _ := url.Parse(c.RedirectURL); redirect.Path != "/login/callback" || redirect.RawQuery != "" {
			problems = append(problems, errors.New("identity.ProviderConfig: RedirectURL has to end with /login/callback"))
		}
		if len(c.Keys) == 0 {
			problems = append(problems, errors.New("identity.ProviderConfig: Keys is empty"))
		}
	}
	return errors.Join(problems...)
}

// requireURL fails unless a URL is one that can't be listened to on the way.
func requireURL(field, text string) error {
	parsed, err := url.Parse(text)
	if err != nil || parsed.Host == "" || parsed.User != nil || parsed.Fragment != "" {
		return fmt.Errorf("identity.ProviderConfig: %s is not a URL", field)
	}
	if parsed.Scheme == "https" || parsed.Scheme == "http" && isLoopback(parsed.Hostname()) {
		return nil
	}
	return fmt.Errorf("identity.ProviderConfig: %s has to be https, as its host is not loopback", field)
}

func isLoopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// NewProvider returns a gate for the tokens and logins of an OpenID provider. It asks the provider for
// its configuration; when that can't be had, this is logged, requests with a token are answered with
// 503, and it is asked again when one comes, every five seconds at most. The error is for what
// won't get better: a wrong config, or a provider that says it is another one.
func NewProvider(ctx context.Context, config ProviderConfig) (*Gate, error) {
	if err := config.validate(); err != nil {
		return nil, err
	}
	if config.RolesClaim == "" {
		config.RolesClaim = DefaultRolesClaim
	}
	kind := LoginNone
	if config.ClientID != "" {
		kind = LoginProvider
	}
	g := newGate(kind, config.Options)
	if kind == LoginProvider {
		secure := strings.HasPrefix(config.RedirectURL, "https:")
		sessions, err := newSessions(config.Keys, "provider "+config.Issuer, secure, config.Session)
		if err != nil {
			return nil, err
		}
		g.sessions = sessions
	}
	g.provider = &provider{config: config, client: boundedClient(config.HTTPClient), turn: make(chan struct{}, 1), now: time.Now}
	g.verify = g.provider.bearer
	_, err := g.provider.discovered(ctx)
	var mismatch *oidc.IssuerMismatchError
	if errors.As(err, &mismatch) {
		return nil, fmt.Errorf("identity: %w", err)
	}
	if err != nil {
		g.logger.WarnContext(ctx, "OpenID provider not reached; it is asked again when somebody brings a token", "error", err)
	}
	return g, nil
}

// provider is the OpenID provider, as far as it is known.
type provider struct {
	config ProviderConfig
	client *http.Client
	now    func() time.Time
	turn   chan struct{} // held by the one who asks

	mu    sync.Mutex
	found *discovery
	tried time.Time
	err   error // of the last try
}

// discovery is what the provider says of itself.
type discovery struct {
	keys  *keySet
	oauth oauth2.Config // of logins
}

func (p *provider) ready() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.found != nil {
		return nil
	}
	return p.err
}

// recent returns what is known, or the error of a try that is not long ago.
func (p *provider) recent() (*discovery, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.found != nil || p.now().Sub(p.tried) < askAgain {
		return p.found, p.err
	}
	return nil, nil
}

// discovered returns the provider's configuration, which it asks for until it was had once.
func (p *provider) discovered(ctx context.Context) (*discovery, error) {
	if found, err := p.recent(); found != nil || err != nil {
		return found, err
	}
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	}
	if found, err := p.recent(); found != nil || err != nil {
		return found, err
	}
	// Who asked may go away; the others want the answer.
	ask, cancel := context.WithTimeout(context.WithoutCancel(ctx), providerTimeout)
	defer cancel()
	found, err := p.discover(ask)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.found, p.err, p.tried = found, err, p.now()
	return found, err
}

func (p *provider) discover(ctx context.Context) (*discovery, error) {
	metadata, err := oidc.NewProvider(oidc.ClientContext(ctx, p.client), p.config.Issuer)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	var extra struct {
		Keys string `json:"jwks_uri"`
	}
	if err := metadata.Claims(&extra); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	for field, address := range map[string]string{"jwks_uri": extra.Keys, "token_endpoint": metadata.Endpoint().TokenURL} {
		if address == "" && field != "jwks_uri" && p.config.ClientID == "" {
			continue
		}
		if err := requireURL(field, address); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
	found := &discovery{keys: newKeySet(extra.Keys, p.client, p.now)}
	if p.config.ClientID != "" {
		found.oauth = oauth2.Config{
			ClientID: p.config.ClientID, ClientSecret: p.config.ClientSecret,
			Endpoint: metadata.Endpoint(), RedirectURL: p.config.RedirectURL,
			Scopes: append([]string{oidc.ScopeOpenID, "profile"}, p.config.Scopes...),
		}
	}
	return found, nil
}

// bearer returns whose token it is.
func (p *provider) bearer(ctx context.Context, token string) (User, error) {
	found, err := p.discovered(ctx)
	if err != nil {
		return User{}, err
	}
	verified, err := p.verify(ctx, found.keys, token, p.config.Audience)
	if err != nil {
		return User{}, err
	}
	return p.user(verified)
}

// verify returns a token that the provider has signed, for audience, and that counts now. The
// errors are errWrong or [ErrUnavailable].
func (p *provider) verify(ctx context.Context, keys *keySet, token, audience string) (*oidc.IDToken, error) {
	// The library hides the error of a key set, which tells one from the other.
	payload, err := keys.VerifySignature(ctx, token)
	if err != nil {
		return nil, err
	}
	verified, err := oidc.NewVerifier(p.config.Issuer, verifiedPayload(payload), &oidc.Config{
		ClientID:             audience,
		SupportedSigningAlgs: algorithms,
		Now:                  func() time.Time { return p.now().Add(-ClockSkew) },
	}).Verify(ctx, token)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errWrong, err)
	}
	return verified, nil
}

// verifiedPayload is the key set of a token whose signature was verified.
type verifiedPayload []byte

func (v verifiedPayload) VerifySignature(context.Context, string) ([]byte, error) { return v, nil }

// user returns who a verified token is about.
func (p *provider) user(token *oidc.IDToken) (User, error) {
	var all map[string]any
	if err := token.Claims(&all); err != nil {
		return User{}, fmt.Errorf("%w: %w", errWrong, err)
	}
	// The library lets five minutes pass.
	if begins, ok := all["nbf"].(float64); ok && p.now().Add(ClockSkew).Before(time.Unix(int64(begins), 0)) {
		return User{}, fmt.Errorf("%w: it is not valid yet", errWrong)
	}
	if err := checkSubject(token.Subject); err != nil {
		return User{}, err
	}
	user := User{Subject: token.Subject, Roles: rolesIn(all, p.config.RolesClaim), Expires: token.Expiry.Add(ClockSkew)}
	for _, claim := range []string{"name", "preferred_username"} {
		if name, ok := all[claim].(string); ok && user.Name == "" && len(name) <= MaxSubject && !strings.ContainsFunc(name, notPrintable) {
			user.Name = name
		}
	}
	return user, nil
}

func checkSubject(subject string) error {
	switch {
	case strings.TrimSpace(subject) == "", len(subject) > MaxSubject, !utf8.ValidString(subject), strings.ContainsFunc(subject, unicode.IsControl):
		return fmt.Errorf("%w: its subject is not one", errWrong)
	case strings.HasPrefix(subject, DemoPrefix):
		return fmt.Errorf("%w: its subject is like one of the demo login", errWrong)
	}
	return nil
}

// rolesIn returns the roles that are at a path of a token's claims. Names of claims may
// have dots themselves.
func rolesIn(claims map[string]any, path string) []string {
	value, found := claims[path]
	for name, rest, more := strings.Cut(path, "."); !found; name, rest, more = strings.Cut(rest, ".") {
		value = claims[name]
		if !more {
			break
		}
		claims, _ = value.(map[string]any) // nil has no claims
	}
	switch value := value.(type) {
	case string:
		return strings.Fields(value)
	case []any:
		var roles []string
		for _, element := range value {
			if role, ok := element.(string); ok {
				roles = append(roles, role)
			}
		}
		return roles
	}
	return nil
}
