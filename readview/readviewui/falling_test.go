package readviewui_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/readview/readviewui"
)

// Minutes don't pass in a test: what a look would have found is made up.
func TestOneThatFallsBehind(t *testing.T) {
	t.Parallel()
	s := newSite(t, readviewui.Config{})
	s.stop()
	was := func(name string, kind consumer.Kind, lag time.Duration, waiting int64) consumer.Status {
		return consumer.Status{Kind: kind, Name: name, State: consumer.CatchingUp, Node: "node-b", Lag: lag, Behind: min(waiting, 10_000), More: waiting > 10_000, Estimate: waiting, Rate: 50}
	}
	now := time.Now()
	standby := was("restarted", consumer.KindProjection, time.Minute, 30_000)
	standby.State = consumer.Standby
	s.handler.Remember(now.Add(-time.Minute),
		standby,
		was("slow", consumer.KindProjection, 40*time.Second, 12_000),
		was("letters", consumer.KindReactor, 40*time.Second, 100),
		was("nearer", consumer.KindProjection, 50*time.Hour, 300_000),
		was("dense", consumer.KindProjection, 50*time.Hour, 300_000),
		was("begins", consumer.KindProjection, time.Second, 10),
		was("a little", consumer.KindProjection, 5*time.Second, 10))
	title, said := s.handler.Says(t.Context(),
		was("slow", consumer.KindProjection, 3*time.Minute, 30_000),
		was("letters", consumer.KindReactor, 40*time.Second, 100),
		was("restarted", consumer.KindProjection, 2*time.Minute, 30_000),
		was("nearer", consumer.KindProjection, 49*time.Hour, 300_000),
		was("dense", consumer.KindProjection, 50*time.Hour+time.Minute, 200_000), // events of one moment
		was("begins", consumer.KindProjection, 35*time.Second, 30_000),
		was("a little", consumer.KindProjection, 20*time.Second, 10),
		was("unknown", consumer.KindProjection, time.Hour, 30_000))
	require.Equal(t, "3 falling behind", title)
	require.Len(t, said, 3)
	require.Contains(t, said[0], "Falling behind: slow does not catch up: its lag was 40 s a minute ago, and is 3 min.")
	require.Contains(t, said[0], "its page says what its last pages took")
	require.Contains(t, said[1], "Falling behind: letters does not catch up: its lag was 40 s a minute ago, and is 40 s.")
	require.Contains(t, said[1], "what it calls may be slow")
	require.Contains(t, said[2], "Falling behind: begins does not catch up: its lag was 1.0 s a minute ago, and is 35 s.")
}
