package messaging

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// Relays returns how all relays stand that have ever run on these positions, whoever
// runs them and under whatever configuration, in the order of their names. log is the
// one that they follow.
func (p *Positions) Relays(ctx context.Context, log eventsourced.LogReader) ([]Status, error) {
	return p.registered(ctx, log, relayTopic)
}

// Reactors is [Positions.Relays] for reactors.
func (p *Positions) Reactors(ctx context.Context, log eventsourced.LogReader) ([]Status, error) {
	return p.registered(ctx, log, reactorTopic)
}

func (p *Positions) registered(ctx context.Context, log eventsourced.LogReader, topic string) ([]Status, error) {
	all := Consumer{Group: "all", Topic: topic}
	rows, err := p.pool.Query(ctx, `SELECT name FROM consumers WHERE topic = $1 ORDER BY name`, topic)
	if err != nil {
		return nil, explain("list", all, err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, explain("list", all, err)
	}
	statuses := make([]Status, len(names))
	for i, name := range names {
		if statuses[i], err = p.status(ctx, log, Consumer{Group: name, Topic: topic}); err != nil {
			return nil, err
		}
	}
	return statuses, nil
}
