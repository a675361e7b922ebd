package migrations_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/internal/legacytest"
	"github.com/dancefinder/eventsourcing/dancefinder/migrations"
	"github.com/dancefinder/eventsourcing/readview/readviewtest"
)

func TestDown(t *testing.T) {
	t.Parallel()
	t.Run("takes back what can be taken back", func(t *testing.T) {
		t.Parallel()
		db := readviewtest.NewDatabase(t)
		legacytest.Fill(t, db.Pool, legacytest.Small)
		want := ask(t, db.Pool, 1)
		_, err := migrations.UpTo(t.Context(), db.Pool, 2)
		require.NoError(t, err)
		undone, err := migrations.DownTo(t.Context(), db.Pool, 1)
		require.NoError(t, err)
		require.Equal(t, names[1:2], undone)
		require.Equal(t, want, ask(t, db.Pool, 1))
	})
	t.Run("says what can't be, and changes nothing", func(t *testing.T) {
		t.Parallel()
		db := readviewtest.NewDatabase(t)
		legacytest.Fill(t, db.Pool, legacytest.Small)
		for step, says := range map[int64]string{4: "cannot be undone: read views", 3: "cannot be undone: the integer ids are gone"} {
			_, err := migrations.UpTo(t.Context(), db.Pool, step)
			require.NoError(t, err)
			if step == 3 {
				legacytest.Exec(t, db.Pool, "DELETE FROM goose_db_version WHERE version_id > 3")
			}
			before := schemaOf(t, db)
			undone, err := migrations.DownTo(t.Context(), db.Pool, step-1)
			require.ErrorContains(t, err, says)
			require.ErrorContains(t, err, "Restore a backup")
			require.Empty(t, undone)
			require.Equal(t, before, schemaOf(t, db))
		}
	})
	t.Run("does not drop legacy tables that have rows", func(t *testing.T) {
		t.Parallel()
		db := readviewtest.NewDatabase(t)
		legacytest.Fill(t, db.Pool, legacytest.Small)
		_, err := migrations.UpTo(t.Context(), db.Pool, 2)
		require.NoError(t, err)
		undone, err := migrations.DownTo(t.Context(), db.Pool, 0)
		require.ErrorContains(t, err, "the table event has rows")
		require.Equal(t, names[1:2], undone)
		require.Contains(t, tablesOf(t, db), "event")
		empty := readviewtest.NewDatabase(t)
		_, err = migrations.UpTo(t.Context(), empty.Pool, 2)
		require.NoError(t, err)
		_, err = migrations.DownTo(t.Context(), empty.Pool, 0)
		require.NoError(t, err)
		require.Equal(t, []string{"goose_db_version"}, tablesOf(t, empty))
	})
}
