package consumer

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// LeaseStatus says which node has the lease of a consumer, or had it last.
type LeaseStatus struct {
	ID    ID
	Node  string        // see [Config.Node]
	Held  bool          // the lease holds; otherwise the node has released it, or has not renewed it in time
	Until time.Time     // it holds, by the database's clock; zero when it was released
	Left  time.Duration // until then, 0 if it does not hold
}

const leasesSQL = `SELECT name, topic, node, ` + leaseHolds + `, CASE WHEN isfinite(lease_until) THEN lease_until END,
		CASE WHEN ` + leaseHolds + ` THEN (extract(epoch FROM lease_until - clock_timestamp()) * 1000000)::bigint ELSE 0 END
	FROM {schema}consumers WHERE node <> '' ORDER BY name, topic`

// Leases returns those of reactors, relays and consumer groups that any node has had, in the order of
// their names.
func (s *Store) Leases(ctx context.Context) ([]LeaseStatus, error) {
	rows, err := s.pool.Query(ctx, s.Qualify(leasesSQL))
	if err == nil {
		var all []LeaseStatus
		if all, err = pgx.CollectRows(rows, scanLease); err == nil {
			return all, nil
		}
	}
	return nil, s.Explain("read the leases of the consumers", err)
}

func scanLease(row pgx.CollectableRow) (l LeaseStatus, err error) {
	var name, topic string
	var until *time.Time
	var left int64
	err = row.Scan(&name, &topic, &l.Node, &l.Held, &until, &left)
	l.ID, l.Node, l.Left = idOf(name, topic), NodeName(l.Node), time.Duration(left)*time.Microsecond
	if until != nil {
		l.Until = until.UTC()
	}
	return l, err
}
