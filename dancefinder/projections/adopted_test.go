package projections

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
)

// Events of rows that are there already change nothing that a reader sees, not even between
// two of them.
func TestAdoptedEvents(t *testing.T) {
	t.Parallel()
	db := setupTestDB(t)
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer func() { _ = tx.Rollback() }()
	updated := now.Add(time.Hour)
	_, err = tx.ExecContext(t.Context(), `INSERT INTO event (id, event_date, band_id, dance_hall_id, created, updated) VALUES ($1, '2026-07-04', $2, $2, $3, $4)`,
		someID, otherID, now, updated)
	require.NoError(t, err)
	_, err = tx.ExecContext(t.Context(), `INSERT INTO ignored_city (id, subject, city, created) VALUES ($1, 'anna', 'Mora', $2)`, someID, now)
	require.NoError(t, err)

	created := &domain.EventCreated{BaseEvent: base(someID), Date: "2026-07-04", BandID: otherID, DanceHallID: otherID}
	require.NoError(t, handleEventCreated(t.Context(), tx, created))
	var got time.Time
	require.NoError(t, tx.QueryRowContext(t.Context(), "SELECT updated FROM event").Scan(&got))
	require.True(t, updated.Equal(got), got)

	ignored := &domain.CityIgnored{BaseEvent: base(otherID), Subject: "anna", City: "Mora", RowID: someID}
	for _, statement := range []string{"SELECT", "DELETE FROM ignored_city"} { // over the row, and after a reset
		_, err = tx.ExecContext(t.Context(), statement)
		require.NoError(t, err)
		require.NoError(t, handleCityIgnored(t.Context(), tx, ignored))
		var id string
		require.NoError(t, tx.QueryRowContext(t.Context(), "SELECT id FROM ignored_city").Scan(&id))
		require.Equal(t, someID, id)
	}
}
