package operate

import (
	"errors"
	"regexp"
)

// Exit codes of commands, see [Run].
const (
	ExitDone        = 0
	ExitFailed      = 1
	ExitUsage       = 2
	ExitFound       = 3   // a check found something: status --check, ready, dry-run; or a retry failed again
	ExitInterrupted = 130 // 128 and the number of SIGINT, as shells have it
)

// ErrInterrupted is the cause with which [Main] ends the context of a command before its
// work is done. For what runs until it is interrupted it is no error.
var ErrInterrupted = errors.New("interrupted")

// UsageError is the user's: wrong words on the command line. [Run] names the command's help
// then, and returns [ExitUsage].
type UsageError struct{ Err error }

// Error implements error.
func (e UsageError) Error() string { return e.Err.Error() }

// Unwrap returns what is wrong.
func (e UsageError) Unwrap() error { return e.Err }

// HintedError has a sentence about what to do, which [Run] prints below the error.
type HintedError struct {
	Err  error
	Hint string
}

// Error implements error.
func (e HintedError) Error() string { return e.Err.Error() }

// Unwrap returns the error without the hint.
func (e HintedError) Unwrap() error { return e.Err }

// ExitError makes [Run] return a code of its own.
type ExitError struct {
	Err  error
	Code int
}

// Error implements error.
func (e ExitError) Error() string { return e.Err.Error() }

// Unwrap returns what has happened.
func (e ExitError) Unwrap() error { return e.Err }

// forProgrammers is what the framework says of missing tables to those who use it:
// which function makes them, together with others.
var forProgrammers = regexp.MustCompile(` \([^()]* by migrate\.Run with \w+\.Migrations\)`)

// forOperators leaves out of an error's text what is for programmers: which function makes a
// table that is missing.
func forOperators(text string) string { return forProgrammers.ReplaceAllString(text, "") }
