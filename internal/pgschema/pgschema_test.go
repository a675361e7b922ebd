package pgschema_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/internal/pgschema"
)

func TestSQL(t *testing.T) {
	t.Parallel()
	const statement = `UPDATE {readviews} AS r SET position = 1 FROM {readview_states} WHERE name = '{}'::text[]`
	for schema, want := range map[pgschema.Schema]string{
		"":          `UPDATE readviews AS r SET position = 1 FROM readview_states WHERE name = '{}'::text[]`,
		"shop":      `UPDATE "shop"."readviews" AS r SET position = 1 FROM "shop"."readview_states" WHERE name = '{}'::text[]`,
		`odd "Name`: `UPDATE "odd ""Name"."readviews" AS r SET position = 1 FROM "odd ""Name"."readview_states" WHERE name = '{}'::text[]`,
	} {
		t.Run("names the tables of the schema "+string(schema), func(t *testing.T) {
			t.Parallel()
			require.Equal(t, want, schema.SQL(statement))
		})
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for _, schema := range []pgschema.Schema{"", "shop", `odd "Name`, pgschema.Schema(strings.Repeat("x", 63))} {
		require.NoError(t, schema.Validate(), schema)
	}
	for _, schema := range []pgschema.Schema{"\xff", "a\x00", pgschema.Schema(strings.Repeat("x", 64))} {
		require.ErrorContains(t, schema.Validate(), "is no name of a schema", schema)
	}
}
