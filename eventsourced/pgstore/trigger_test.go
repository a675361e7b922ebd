package pgstore_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/internal/testdb"
)

// An event that a trigger of the application's leaves out is not stored, and its append
// has failed, whole.
func TestTriggersThatLeaveEventsOut(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := open(t, db)
	_, err := db.Pool.Exec(t.Context(), `CREATE FUNCTION leave_out() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF NEW.payload::jsonb->>'Text' = 'out' THEN RETURN NULL; END IF; RETURN NEW; END $$;
		CREATE TRIGGER leave_out BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION leave_out()`)
	require.NoError(t, err)
	for name, texts := range map[string][]string{"one event": {"out"}, "one of several": {"in", "out", "in"}, "all of several": {"out", "out"}} {
		for _, expected := range []eventsourced.Expected{eventsourced.NoStream, eventsourced.Any} {
			_, err := store.Append(t.Context(), stream(name), expected, encode(t, texts...))
			require.ErrorContains(t, err, "a trigger left the others out", name)
			require.ErrorContains(t, err, "append to test.Note/"+name)
			tx, err := db.Pool.Begin(t.Context())
			require.NoError(t, err)
			_, err = store.AppendTx(t.Context(), tx, stream(name), expected, encode(t, texts...))
			require.ErrorContains(t, err, "a trigger left the others out", name)
			require.Error(t, tx.Commit(t.Context()), "it is aborted")
		}
	}
	require.Empty(t, read(t, store, eventsourced.LogQuery{}))
	appendTo(t, store)

	// In a group the others are stored.
	tx, _ := hold(t, db.Pool, store)
	type outcome struct {
		text string
		err  error
	}
	outcomes := make(chan outcome, 12)
	for i := range cap(outcomes) {
		text := "in"
		if i%4 == 3 {
			text = "out"
		}
		go func() {
			events := encode(t, text)
			_, err := store.Append(t.Context(), stream(events[0].ID.String()), eventsourced.Any, events)
			outcomes <- outcome{text, err}
		}()
	}
	require.NoError(t, tx.Commit(t.Context()))
	for range cap(outcomes) {
		if o := <-outcomes; o.text == "out" {
			require.ErrorContains(t, o.err, "a trigger left the others out")
		} else {
			require.NoError(t, o.err)
		}
	}
	require.Len(t, read(t, store, eventsourced.LogQuery{}), 11)
}
