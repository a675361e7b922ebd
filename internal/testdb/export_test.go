package testdb

import (
	"context"
	"testing"
)

// DropLeftovers does what the first use of a shared server does.
func DropLeftovers(t *testing.T) error { return dropLeftovers(context.Background(), theServer(t).url) }
