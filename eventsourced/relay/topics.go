package relay

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
)

const (
	topicsSQL    = `SELECT topic, position FROM {schema}relay_topics WHERE name = $1`
	saveTopicSQL = `INSERT INTO {schema}relay_topics (name, topic, position) VALUES ($1, $2, $3)
		ON CONFLICT (name, topic) DO UPDATE SET position = EXCLUDED.position`
)

// readTopics returns the position of the last message that a relay sent to each topic.
func readTopics(ctx context.Context, store *consumer.Store, relay string) (map[string]eventsourced.Position, error) {
	topics := map[string]eventsourced.Position{}
	rows, err := store.Pool().Query(ctx, store.Qualify(topicsSQL), relay)
	if err == nil {
		var topic string
		var position int64
		_, err = pgx.ForEachRow(rows, []any{&topic, &position}, func() error {
			topics[topic] = eventsourced.Position(position)
			return nil
		})
	}
	return topics, store.Explain("read the topics of relay "+relay, err)
}

// saveTopics moves the position, together with what was sent.
func (r *Relay) saveTopics(ctx context.Context, to eventsourced.Position, sent map[string]eventsourced.Position) error {
	f := r.follower
	return r.store.SaveWith(ctx, f.ID(), f.Node(), f.Position(), to, func(batch *pgx.Batch) {
		for topic, position := range sent {
			batch.Queue(r.store.Qualify(saveTopicSQL), r.config.Name, topic, int64(position))
		}
	})
}
