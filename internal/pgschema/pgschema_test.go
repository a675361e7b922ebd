package pgschema_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/internal/pgschema"
)

func TestSQL(t *testing.T) {
	t.Parallel()
	const statement = `UPDATE {readviews} AS r SET position = 1 FROM {readview_states} WHERE name = '{}'::text[]`
	for schema, want := range map[pgschema.Schema]string{
		"":          `UPDATE "readviews" AS r SET position = 1 FROM "readview_states" WHERE name = '{}'::text[]`,
		"shop":      `UPDATE "shop"."readviews" AS r SET position = 1 FROM "shop"."readview_states" WHERE name = '{}'::text[]`,
		`odd "Name`: `UPDATE "odd ""Name"."readviews" AS r SET position = 1 FROM "odd ""Name"."readview_states" WHERE name = '{}'::text[]`,
	} {
		t.Run("names the tables of the schema "+string(schema), func(t *testing.T) {
			t.Parallel()
			require.Equal(t, want, schema.SQL(statement))
		})
	}
}
