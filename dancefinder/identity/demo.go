package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// maxName is the longest name of the demo login, in characters.
const maxName = 64

// resolveTimeout is how long an address may take to be resolved.
const resolveTimeout = 5 * time.Second

// DemoConfig is the optional part of the demo login. The zero value works.
type DemoConfig struct {
	Options

	// Anywhere lets it start on addresses that are not loopback: everybody who reaches them can
	// be anybody, operators included. Ask for it by a flag of its own.
	Anywhere bool

	// Keys sign the sessions: the first one signs, all verify. Each has at least [MinKey] bytes.
	// Defaults to a random one: sessions end with the process.
	Keys [][]byte

	// Session is how long a session lasts. Defaults to [DefaultSession].
	Session time.Duration

	// Secure says that the page is served by HTTPS, so that the cookie is for that only.
	Secure bool
}

// NewDemo returns a gate through which everybody can be anybody. address is where the server listens:
// that of its listener, or what it is going to be told, of which all that it resolves to has to be
// loopback. Otherwise the error is [ErrNotLoopback], unless [DemoConfig.Anywhere] is set.
func NewDemo(address string, config DemoConfig) (*Gate, error) {
	if !config.Anywhere {
		if err := requireLoopback(address); err != nil {
			return nil, err
		}
	}
	sessions, err := newSessions(config.Keys, "demo", config.Secure, config.Session)
	if err != nil {
		return nil, err
	}
	g := newGate(LoginDemo, config.Options)
	g.sessions = sessions
	g.verify = func(_ context.Context, token string) (User, error) { return sessions.user(token) }
	return g, nil
}

// requireLoopback fails unless an address to listen on is of this machine only, in whatever way it is
// resolved.
func requireLoopback(address string) error {
	refuse := func(what string) error { return fmt.Errorf("%w: %q %s", ErrNotLoopback, address, what) }
	host, _, err := net.SplitHostPort(address)
	switch {
	case err != nil:
		return refuse("is not of the form host:port")
	case host == "":
		return refuse("is every address of this machine")
	}
	ctx, cancel := context.WithTimeout(context.Background(), resolveTimeout)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupIPAddr(ctx, host)
	if err != nil || len(addresses) == 0 {
		return refuse("can't be resolved")
	}
	for _, found := range addresses {
		if !found.IP.IsLoopback() {
			return refuse("is " + found.String() + ", which is not loopback")
		}
	}
	return nil
}

// DemoToken returns what can be used as a bearer token, and as the value of the session's cookie, of a demo
// user: for a command line, or a test. Errors: [ErrName], [ErrRole], [ErrNoDemo].
func (g *Gate) DemoToken(name string, roles ...string) (string, error) {
	token, _, err := g.demoSession(name, roles)
	return token, err
}

func (g *Gate) demoSession(name string, roles []string) (string, User, error) {
	if g.kind != LoginDemo {
		return "", User{}, ErrNoDemo
	}
	name = norm.NFC.String(strings.TrimSpace(name))
	if n := utf8.RuneCountInString(name); n == 0 || n > maxName || !utf8.ValidString(name) ||
		len(DemoPrefix)+len(strings.ToLower(name)) > MaxSubject || strings.ContainsFunc(name, notPrintable) {
		return "", User{}, ErrName
	}
	if unknown := slices.IndexFunc(roles, func(role string) bool { return !known(role) }); unknown >= 0 {
		return "", User{}, fmt.Errorf("%w: %q, want %s or %s", ErrRole, roles[unknown], RoleCatalogue, RoleOperator)
	}
	// A person who writes the name in another case means the same.
	token, user := g.sessions.issue(User{Subject: DemoPrefix + strings.ToLower(name), Name: name, Roles: roles})
	return token, user, nil
}

func notPrintable(r rune) bool { return !unicode.IsPrint(r) }

func (g *Gate) demoLogin(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		g.refuse(w, r, Refusal{http.StatusBadRequest, "LOGIN_FAILED", "The form can't be read."})
		return
	}
	token, user, err := g.demoSession(r.PostForm.Get("name"), r.PostForm["role"])
	switch {
	case errors.Is(err, ErrRole):
		g.refuse(w, r, Refusal{http.StatusBadRequest, "BAD_ROLE", "There is no such role."})
		return
	case err != nil:
		g.refuse(w, r, Refusal{http.StatusBadRequest, "BAD_NAME", fmt.Sprintf("Write a name of 1 to %d characters.", maxName)})
		return
	}
	g.sessions.keep(w, token)
	if accept := r.Header.Get("Accept"); !strings.Contains(accept, "application/json") || strings.Contains(accept, "text/html") {
		redirect(w, r.PostForm.Get("next"))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(map[string]any{ // nothing to do for a client that is gone
		"token": token, "subject": user.Subject, "roles": user.Roles, "expires": user.Expires.UTC(),
	})
}
