package shadow

import "errors"

var (
	// ErrImpossible says that tables can't have a shadow, or not one that takes their place. The error names what is
	// in the way.
	ErrImpossible = errors.New("it can't be done beside the live tables")

	// ErrEscaped says that a statement which was to go to the shadows went elsewhere.
	ErrEscaped = errors.New("a handler goes past the shadow tables")

	// ErrChanged says that the definition of a table is not what it was.
	ErrChanged = errors.New("the tables' definitions have changed")

	// ErrNotEqual says that the live tables did not become equal to their shadows.
	ErrNotEqual = errors.New("the tables did not become equal")
)
