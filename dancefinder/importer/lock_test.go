package importer_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/importer"
	"github.com/dancefinder/eventsourcing/readview/readviewtest"
)

func TestMain(m *testing.M) { readviewtest.Main(m) }

func TestLock(t *testing.T) {
	t.Parallel()
	nobody := func(importer.Holder) { require.Fail(t, "there is nobody to wait for") }
	database := readviewtest.NewDatabase(t)
	unlock, err := importer.Lock(t.Context(), database.Pool, "july.csv", nobody)
	require.NoError(t, err)

	other, err := importer.Lock(t.Context(), readviewtest.NewDatabase(t).Pool, "other.csv", nobody)
	require.NoError(t, err, "another schema is another DanceFinder")
	other()

	ctx, stop := context.WithCancel(t.Context())
	_, err = importer.Lock(ctx, database.Pool, "other.csv", func(importer.Holder) { stop() })
	require.ErrorIs(t, err, context.Canceled, "who waits can be stopped")

	holders, locked := make(chan importer.Holder, 1), make(chan func(), 1)
	go func() {
		unlock, err := importer.Lock(t.Context(), database.Pool, "august.csv", func(h importer.Holder) { holders <- h })
		if err == nil {
			locked <- unlock
		}
		close(locked)
	}()
	holder := <-holders
	require.Equal(t, "july.csv", holder.What)
	require.Positive(t, holder.PID)
	require.False(t, holder.Since.IsZero())
	require.Empty(t, locked)
	unlock()
	last := <-locked
	require.NotNil(t, last)
	last()
}
