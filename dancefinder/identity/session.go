package identity

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// DefaultSession is how long a session lasts by default.
const DefaultSession = 8 * time.Hour

// MinKey is how many bytes a key has at least.
const MinKey = 32

// maxCookie is the longest value of a cookie that is looked at: browsers keep 4096 bytes of
// name, value and attributes.
const maxCookie = 3800

// sessions makes and reads what this application has signed.
type sessions struct {
	keys   [][]byte // the first one signs, all verify
	use    string   // signed as well: what one kind of login has made means nothing to another
	cookie string
	secure bool
	lasts  time.Duration
	now    func() time.Time
}

// newSessions makes a random key when there is none: then sessions end with the process.
func newSessions(keys [][]byte, use string, secure bool, lasts time.Duration) (*sessions, error) {
	for i, key := range keys {
		if len(key) < MinKey {
			return nil, fmt.Errorf("identity: Keys[%d] has %d bytes, want at least %d", i, len(key), MinKey)
		}
	}
	if lasts < 0 {
		return nil, errors.New("identity: Session is negative")
	}
	if lasts == 0 {
		lasts = DefaultSession
	}
	if len(keys) == 0 {
		key := make([]byte, MinKey)
		_, _ = rand.Read(key) // it never fails
		keys = [][]byte{key}
	}
	s := &sessions{keys: slices.Clone(keys), use: use, secure: secure, lasts: lasts, now: time.Now, cookie: "session"}
	if secure {
		s.cookie = "__Host-session"
	}
	return s, nil
}

// claims are what is in a session.
type claims struct {
	Subject string   `json:"sub"`
	Name    string   `json:"name,omitempty"`
	Roles   []string `json:"roles,omitempty"`
	Expires int64    `json:"exp"` // Unix seconds
}

// issue returns a session for user, with those of his roles that the application knows.
func (s *sessions) issue(user User) (token string, issued User) {
	roles := slices.DeleteFunc(slices.Clone(user.Roles), func(role string) bool { return !known(role) })
	slices.Sort(roles)
	issued = User{Subject: user.Subject, Name: user.Name, Roles: slices.Compact(roles), Expires: s.now().Add(s.lasts).Truncate(time.Second)}
	for {
		token = s.seal("session", claims{issued.Subject, issued.Name, issued.Roles, issued.Expires.Unix()})
		if len(token) <= maxCookie || issued.Name == "" {
			return token, issued
		}
		issued.Name = "" // a browser would drop the cookie
	}
}

func known(role string) bool { return role == RoleCatalogue || role == RoleOperator }

// user returns whose session a token is.
func (s *sessions) user(token string) (User, error) {
	var c claims
	if err := s.open("session", token, &c); err != nil {
		return User{}, err
	}
	expires := time.Unix(c.Expires, 0)
	if !s.now().Before(expires) {
		return User{}, fmt.Errorf("%w: the session has expired", errWrong)
	}
	return User{Subject: c.Subject, Name: c.Name, Roles: c.Roles, Expires: expires}, nil
}

// seal returns content, signed for one purpose.
func (s *sessions) seal(purpose string, content any) string {
	body, err := json.Marshal(content)
	if err != nil {
		panic(err) // strings and numbers
	}
	encoded := base64.RawURLEncoding.EncodeToString(body)
	return encoded + "." + base64.RawURLEncoding.EncodeToString(s.mac(s.keys[0], purpose, encoded))
}

func (s *sessions) open(purpose, token string, content any) error {
	encoded, signature, _ := strings.Cut(token, ".")
	got, err := base64.RawURLEncoding.Strict().DecodeString(signature)
	if err != nil || len(token) > maxCookie {
		return errWrong
	}
	genuine := false
	for _, key := range s.keys {
		genuine = hmac.Equal(got, s.mac(key, purpose, encoded)) || genuine
	}
	body, err := base64.RawURLEncoding.DecodeString(encoded)
	if !genuine || err != nil || json.Unmarshal(body, content) != nil {
		return fmt.Errorf("%w: it was not signed here", errWrong)
	}
	return nil
}

func (s *sessions) mac(key []byte, purpose, encoded string) []byte {
	h := hmac.New(sha256.New, key)
	_, _ = fmt.Fprintf(h, "dancefinder %s\x00%s\x00%s", purpose, s.use, encoded)
	return h.Sum(nil)
}

// keep gives the browser a session.
func (s *sessions) keep(w http.ResponseWriter, token string) { s.set(w, s.cookie, token, s.lasts) }

func (s *sessions) forget(w http.ResponseWriter) { s.set(w, s.cookie, "", 0) }

// set sets a cookie, or takes it away when it lasts no time.
func (s *sessions) set(w http.ResponseWriter, name, value string, lasts time.Duration) {
	age := int(lasts.Seconds())
	if age == 0 {
		age = -1
	}
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: age,
		HttpOnly: true, Secure: s.secure, SameSite: http.SameSiteLaxMode,
	})
}
