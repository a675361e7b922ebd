package identity

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// loginLasts is how long a person has for the provider's login.
const loginLasts = 10 * time.Minute

// attempt is a login that has begun, kept in the browser that began it.
type attempt struct {
	State    string `json:"state"`
	Nonce    string `json:"nonce"`
	Verifier string `json:"verifier"` // of PKCE
	Next     string `json:"next"`
	Expires  int64  `json:"exp"`
}

func (s *sessions) attemptCookie() string {
	if s.secure {
		return "__Host-login"
	}
	return "login"
}

// startLogin sends a person to the provider.
func (g *Gate) startLogin(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	found, err := g.provider.discovered(r.Context())
	if err != nil {
		g.refuseLogin(w, r, err)
		return
	}
	begun := attempt{
		State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(),
		Next: localPath(r.FormValue("next")), Expires: g.sessions.now().Add(loginLasts).Unix(),
	}
	g.sessions.set(w, g.sessions.attemptCookie(), g.sessions.seal("login", begun), loginLasts)
	w.Header().Set("Location", found.oauth.AuthCodeURL(begun.State, oidc.Nonce(begun.Nonce), oauth2.S256ChallengeOption(begun.Verifier)))
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusSeeOther)
}

// finishLogin receives a person whom the provider sends back.
func (g *Gate) finishLogin(w http.ResponseWriter, r *http.Request) {
	var begun attempt
	cookie, err := r.Cookie(g.sessions.attemptCookie())
	if err == nil {
		err = g.sessions.open("login", cookie.Value, &begun)
	}
	g.sessions.set(w, g.sessions.attemptCookie(), "", 0) // it counts once
	if err == nil {
		err = g.checkReturn(r, begun)
	}
	var user User
	if err == nil {
		user, err = g.provider.exchange(r.Context(), r.FormValue("code"), begun)
	}
	if err != nil {
		g.refuseLogin(w, r, err)
		return
	}
	token, _ := g.sessions.issue(user)
	g.sessions.keep(w, token)
	redirect(w, begun.Next)
}

// checkReturn fails unless a person comes back from the login that was begun in this browser.
func (g *Gate) checkReturn(r *http.Request, begun attempt) error {
	issuer := r.FormValue("iss") // RFC 9207; not every provider sends it
	switch {
	case g.sessions.now().Unix() >= begun.Expires:
		return errors.New("the login has taken too long")
	case !hmac.Equal([]byte(r.FormValue("state")), []byte(begun.State)):
		return errors.New("the login was not begun in this browser")
	case issuer != "" && issuer != g.provider.config.Issuer:
		return errors.New("another provider has answered")
	case r.FormValue("error") != "":
		return fmt.Errorf("the provider says %.100q", r.FormValue("error"))
	case r.FormValue("code") == "":
		return errors.New("the provider has sent no code")
	}
	return nil
}

// exchange asks the provider who has logged in.
func (p *provider) exchange(ctx context.Context, code string, begun attempt) (User, error) {
	found, err := p.discovered(ctx)
	if err != nil {
		return User{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, providerTimeout)
	defer cancel()
	answer, err := found.oauth.Exchange(oidc.ClientContext(ctx, p.client), code, oauth2.VerifierOption(begun.Verifier))
	var refused *oauth2.RetrieveError
	switch {
	case errors.As(err, &refused) && refused.Response.StatusCode < http.StatusInternalServerError:
		return User{}, fmt.Errorf("exchange the code: the provider answers %d %q", refused.Response.StatusCode, refused.ErrorCode)
	case err != nil:
		return User{}, fmt.Errorf("exchange the code: %w: %w", ErrUnavailable, err)
	}
	raw, _ := answer.Extra("id_token").(string)
	token, err := p.verify(ctx, found.keys, raw, p.config.ClientID)
	if err != nil {
		return User{}, err
	}
	if !hmac.Equal([]byte(token.Nonce), []byte(begun.Nonce)) {
		return User{}, errors.New("the token is of another login")
	}
	return p.user(token)
}

func (g *Gate) refuseLogin(w http.ResponseWriter, r *http.Request, err error) {
	g.logger.WarnContext(r.Context(), "login failed", "error", err)
	if errors.Is(err, ErrUnavailable) {
		w.Header().Set("Retry-After", "5")
		g.refuse(w, r, Refusal{http.StatusServiceUnavailable, "IDENTITY_UNAVAILABLE", "Nobody can log in now. Try again in a while."})
		return
	}
	g.refuse(w, r, Refusal{http.StatusBadRequest, "LOGIN_FAILED", "The login did not work. Try again."})
}
