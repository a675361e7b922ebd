package identity

import "errors"

var (
	// ErrNotLoopback is returned by [NewDemo] for an address that others can reach, when it
	// was not told that this is meant.
	ErrNotLoopback = errors.New("the demo login lets everybody be anybody, so it does not start on an address that others can reach")

	// ErrUnavailable is returned by [Gate.Ready] while the OpenID provider can't be asked.
	ErrUnavailable = errors.New("the OpenID provider can't be reached")

	// ErrName is returned by [Gate.DemoToken] for a name that can't be one.
	ErrName = errors.New("a name has 1 to 64 characters")

	// ErrRole is returned by [Gate.DemoToken] for a role that the application does not know.
	ErrRole = errors.New("there is no such role")

	// ErrNoDemo is returned by [Gate.DemoToken] of a gate that is not of [NewDemo].
	ErrNoDemo = errors.New("there is no demo login")
)

// errWrong is the cause of a 401: the token, and not the provider, is at fault.
var errWrong = errors.New("the token is wrong")
