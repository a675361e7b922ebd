// Package identity answers who is asking: a request's bearer token or session becomes a [User] in
// its context, or the request is anonymous and may read.
//
// A [Gate] is made in one of three ways:
//
//   - [NewProvider], for production: tokens and logins of one OpenID provider;
//   - [NewDemo], for trying the application: whoever comes says who he is. It refuses addresses that
//     are not loopback unless it is told twice;
//   - [Anonymous]: nobody can log in.
//
// Who brings a wrong token is refused with 401; he is not taken for somebody anonymous, who
// would wonder where his preferences are. A session that has expired is a logout: the page asks again.
//
// # Subjects
//
// A user is known by the subject. The provider's is its "sub" as it stands, so that what a legacy
// database has under it stays that user's. There is one issuer, so two can't be confused; with
// another issuer, subjects mean other people: don't change it over the same data. A demo user's has
// the prefix [DemoPrefix], and a provider's subject with that prefix is refused.
//
// # Sessions
//
// A session is a cookie that is signed with a key of the application and holds until it expires:
// nothing is stored, so a role that the provider takes away is gone with the next login, and a logout
// removes the cookie from that browser. It is HttpOnly and SameSite=Lax, and on HTTPS has
// the prefix __Host-. That a form of another site is not sent with it is for
// [http.CrossOriginProtection], around all handlers.
package identity

import (
	"context"
	"slices"
	"time"
)

// Roles that the application knows. Neither implies the other.
const (
	RoleCatalogue = "catalogue" // changes bands, dance halls and dances
	RoleOperator  = "operator"  // sees and resets projections
)

// MaxSubject is the longest subject, in bytes, as OpenID Connect has it.
const MaxSubject = 255

// DemoPrefix begins the subjects of the demo login.
const DemoPrefix = "demo:"

// User is who is asking.
type User struct {
	Subject string    // 1 to [MaxSubject] bytes; personal data
	Name    string    // to greet them by, may be empty
	Roles   []string  // as the provider's claim has them; a session keeps those that the application knows
	Expires time.Time // of the token or session: an answer that goes on, such as a subscription, ends then
}

// Has tells whether the user has a role.
func (u User) Has(role string) bool { return slices.Contains(u.Roles, role) }

type userKey struct{}

// NewContext returns a context in which user is asking.
func NewContext(ctx context.Context, user User) context.Context {
	return context.WithValue(ctx, userKey{}, user)
}

// FromContext returns who is asking, false for somebody anonymous.
func FromContext(ctx context.Context) (User, bool) {
	user, ok := ctx.Value(userKey{}).(User)
	return user, ok
}
