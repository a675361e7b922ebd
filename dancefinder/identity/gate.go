package identity

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
)

// maxToken is the longest bearer token that is looked at, in bytes.
const maxToken = 8 << 10

// LoginKind is how a person logs in.
type LoginKind int

const (
	LoginNone     LoginKind = iota // not at all
	LoginDemo                      // by a form with a name
	LoginProvider                  // at the OpenID provider
)

// Refusal is why a request is answered by the gate and not by the application.
type Refusal struct {
	Status int    // 400, 401 or 503
	Code   string // BAD_TOKEN, IDENTITY_UNAVAILABLE, BAD_NAME, BAD_ROLE, LOGIN_FAILED
	Detail string // for a person, without internals
}

// Gate tells who is asking. It is safe for concurrent use; there is nothing to close.
type Gate struct {
	kind     LoginKind
	sessions *sessions // nil when there is no login
	provider *provider // nil without one
	verify   func(ctx context.Context, token string) (User, error)
	refuse   func(http.ResponseWriter, *http.Request, Refusal)
	logger   *slog.Logger
}

// Options are common to all gates. The zero value works.
type Options struct {
	// Refuse answers the requests that are refused; headers such as WWW-Authenticate are set
	// already. Defaults to a problem as in RFC 9457, with the member "code".
	Refuse func(http.ResponseWriter, *http.Request, Refusal)

	// Logger gets why tokens and logins were refused. Defaults to [slog.Default].
	Logger *slog.Logger
}

func newGate(kind LoginKind, options Options) *Gate {
	g := &Gate{kind: kind, refuse: options.Refuse, logger: options.Logger}
	if g.refuse == nil {
		g.refuse = writeProblem
	}
	if g.logger == nil {
		g.logger = slog.Default()
	}
	g.verify = func(context.Context, string) (User, error) { return User{}, errWrong }
	return g
}

// Anonymous returns a gate without any login: all tokens are refused.
func Anonymous(options Options) *Gate { return newGate(LoginNone, options) }

// Login tells how a person logs in.
func (g *Gate) Login() LoginKind { return g.kind }

// Ready returns nil when tokens can be verified, else an error that unwraps to
// [ErrUnavailable] with the reason. It does not ask: the next token does.
func (g *Gate) Ready() error {
	if g.provider == nil {
		return nil
	}
	return g.provider.ready()
}

// Middleware puts the [User] of a request into its context. A request without a token and
// without a valid session is anonymous and passes. One with a wrong token is answered with 401, one
// with a token that can't be verified now with 503. When it has a token, its session does not count.
func (g *Gate) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Authorization")
		w.Header().Add("Vary", "Cookie")
		if values := r.Header.Values("Authorization"); len(values) > 0 {
			user, err := g.bearer(r.Context(), values)
			if err != nil {
				g.refuseToken(w, r, err)
				return
			}
			next.ServeHTTP(w, r.WithContext(NewContext(r.Context(), user)))
			return
		}
		if user, ok := g.session(w, r); ok {
			r = r.WithContext(NewContext(r.Context(), user))
		}
		next.ServeHTTP(w, r)
	})
}

func (g *Gate) bearer(ctx context.Context, values []string) (User, error) {
	scheme, token, _ := strings.Cut(values[0], " ")
	token = strings.Trim(token, " ")
	if len(values) > 1 || !strings.EqualFold(scheme, "Bearer") || token == "" || len(token) > maxToken {
		return User{}, errWrong
	}
	return g.verify(ctx, token)
}

// session returns the user of the request's session. A cookie that is none is taken away.
func (g *Gate) session(w http.ResponseWriter, r *http.Request) (User, bool) {
	if g.sessions == nil {
		return User{}, false
	}
	cookie, err := r.Cookie(g.sessions.cookie)
	if err != nil {
		return User{}, false
	}
	user, err := g.sessions.user(cookie.Value)
	if err != nil {
		g.sessions.forget(w)
		return User{}, false
	}
	return user, true
}

func (g *Gate) refuseToken(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, ErrUnavailable) {
		g.logger.WarnContext(r.Context(), "bearer token not verified", "error", err)
		w.Header().Set("Retry-After", "5")
		g.refuse(w, r, Refusal{http.StatusServiceUnavailable, "IDENTITY_UNAVAILABLE", "Who is asking can't be found out now. Try again in a while."})
		return
	}
	g.logger.InfoContext(r.Context(), "bearer token refused", "error", err)
	w.Header().Set("WWW-Authenticate", `Bearer realm="dancefinder", error="invalid_token"`)
	g.refuse(w, r, Refusal{http.StatusUnauthorized, "BAD_TOKEN", "The token is not valid, or no longer. Get a new one."})
}

// Register adds the gate's routes to mux:
//
//	POST /login           demo: form values name, role (none or more), next; provider: next
//	GET  /login           provider only: next; the page has to make the demo's form itself
//	GET  /login/callback  provider only: [ProviderConfig.RedirectURL] leads here
//	POST /logout          next
//
// next is where to go afterwards: a path of this server, "/" when it is anything else. The
// demo's login answers with JSON (token, subject, roles, expires) who accepts application/json and not
// text/html: the token can be used as a bearer token.
func (g *Gate) Register(mux *http.ServeMux) {
	switch g.kind {
	case LoginDemo:
		mux.HandleFunc("POST /login", g.demoLogin)
	case LoginProvider:
		mux.HandleFunc("GET /login", g.startLogin)
		mux.HandleFunc("POST /login", g.startLogin)
		mux.HandleFunc("GET /login/callback", g.finishLogin)
	default:
		return
	}
	mux.HandleFunc("POST /logout", g.logout)
}

func (g *Gate) logout(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	g.sessions.forget(w)
	redirect(w, r.FormValue("next"))
}

func writeProblem(w http.ResponseWriter, _ *http.Request, refusal Refusal) {
	body, err := json.Marshal(map[string]any{
		"title": http.StatusText(refusal.Status), "status": refusal.Status, "code": refusal.Code, "detail": refusal.Detail,
	})
	if err != nil {
		panic(err) // strings and a number
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(refusal.Status)
	_, _ = w.Write(body) // nothing to do for a client that is gone
}
