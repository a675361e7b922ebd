package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/readview/readviewtest"
)

func TestMain(m *testing.M) { readviewtest.Main(m) }

func TestRun(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	require.NoError(t, run(t.Context(), readviewtest.NewDatabase(t).URL, "", &out))
	require.Equal(t, "Emma is lent to Bo\n", out.String())
}
