package watermillsql_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
)

// Who would miss events that are archived fails, at Subscribe and while it runs.
func TestArchivedEventsAreNotMissed(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	b.exec(`INSERT INTO consumers (name, topic, position) VALUES ('g', '` + messaging.AllEvents + `', 6), ('g', 'Deposited', 7);
		INSERT INTO log_archive (last, first, events, names, file, bytes, sha256) VALUES (7, 5, 2, '{}', 'x', 1, '')`)
	look := func(topic string) error {
		query := b.adapter.SelectQuery(topic, "g", b.adapter)
		_, err := b.pool.Exec(t.Context(), query.Query, query.Args...)
		return err
	}
	subscribe := func(topic string) (err error) {
		for _, query := range b.adapter.BeforeSubscribingQueries(topic, "g") {
			if _, err = b.pool.Exec(t.Context(), query.Query, query.Args...); err != nil {
				break
			}
		}
		return err
	}
	require.ErrorContains(t, look(messaging.AllEvents), "are in the archive")
	require.ErrorContains(t, look(messaging.AllEvents), "messaging.Subscriber")
	require.NoError(t, look("Deposited"))
	b.exec(`INSERT INTO events (tstamp, id, name, aggregate_name, aggregate_id, version, occurred_at, payload)
		VALUES (9, gen_random_uuid(), 'Deposited', 'bank.Account', 'a', 1, now(), '{}')`) // the consumers are not ahead of the log
	require.ErrorContains(t, subscribe(messaging.AllEvents), "are in the archive")
	require.NoError(t, subscribe("Deposited"))
}
