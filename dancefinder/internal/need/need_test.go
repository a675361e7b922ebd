package need_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/geocoding"
	"github.com/dancefinder/eventsourcing/dancefinder/live"
	"github.com/dancefinder/eventsourcing/dancefinder/query"
)

// What a constructor can't do without is asked for at once, not at its first use.
func TestConstructorsWithoutWhatTheyNeed(t *testing.T) {
	t.Parallel()
	require.PanicsWithValue(t, "geocoding.NewWorker: no geocoder\nno pool\nno service", func() {
		geocoding.NewWorker(nil, nil, (*geocoding.Nominatim)(nil), geocoding.WorkerConfig{})
	})
	require.PanicsWithValue(t, "geocoding.NewLimiter: no pool\nthe provider has no name\nthe interval is -1s", func() { geocoding.NewLimiter(nil, "", -time.Second) })
	require.PanicsWithValue(t, "query.New: no pool", func() { query.New(nil) })
	require.PanicsWithValue(t, "live.NewHub: no log\nno projections", func() { live.NewHub(nil, nil, live.Config{}) })
	require.Panics(t, func() { domain.NewService(nil) })
}
