package readview

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
)

// Leases returns which node applies each projection that the database knows, or did last, also those of
// other programs, in the order of their names.
func (m *Manager) Leases(ctx context.Context) ([]consumer.LeaseStatus, error) {
	sql, err := m.states.sql(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := m.pool.Query(ctx, sql.leases)
	if err == nil {
		var all []consumer.LeaseStatus
		if all, err = pgx.CollectRows(rows, scanLease); err == nil {
			return all, nil
		}
	}
	return nil, fmt.Errorf("read the leases: %w", explain(err))
}

func scanLease(row pgx.CollectableRow) (consumer.LeaseStatus, error) {
	l := consumer.LeaseStatus{ID: consumer.ID{Kind: consumer.KindProjection}}
	var until *time.Time
	var left int64
	err := row.Scan(&l.ID.Name, &l.Node, &l.Held, &until, &left)
	l.Node, l.Left = consumer.NodeName(l.Node), time.Duration(left)*time.Microsecond
	if until != nil {
		l.Until = until.UTC()
	}
	return l, err
}
