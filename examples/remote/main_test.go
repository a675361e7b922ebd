package main

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// TestMain is also what the processes of the example run, as they are this binary.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && slices.Contains([]string{"library", "bookshop"}, os.Args[1]) {
		main()
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func TestRun(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	require.NoError(t, run(t.Context(), os.Args[0], &out))
	require.Equal(t, "Dune is lent to Anna\nEmma is lent to Bo\nUlysses is lent to Cecilia\n", out.String())
}
