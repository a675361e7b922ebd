package inbox

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/readview"
)

// log is what has come, as a log. Positions are those of the other context; the parts of an
// event that was split share one.
type log struct {
	store    *consumer.Store
	registry *eventsourced.Registry
	name     string          // of the reactor
	names    []string        // of the events that it has reactions to, as they are stored
	told     map[string]bool // of these names: that it has none; of one goroutine

	mu        sync.Mutex
	listeners map[chan struct{}]struct{}
}

var _ eventsourced.Log = (*log)(nil)

const (
	insertSQL = `INSERT INTO {schema}inbox_events (name, position, id, event_name, schema_version, aggregate_name, aggregate_id, version, occurred_at, payload, metadata, tags)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT (name, position, id) DO NOTHING`
	// What the reactor has done counts as well: after a reset of the reception it is not ahead.
	headSQL = `SELECT greatest((SELECT position FROM {schema}readviews WHERE name = $1),
		(SELECT position FROM {schema}consumers WHERE name = $2 AND topic = '$reactor'), 0)`
	whereSQL = ` FROM {schema}inbox_events WHERE name = $1 AND position > $2 AND ($3::bigint = 0 OR position <= $3::bigint) AND (cardinality($4::text[]) = 0 OR event_name = ANY ($4))`
	readSQL  = `SELECT position, id, event_name, schema_version, aggregate_name, aggregate_id, version, occurred_at, payload, metadata, tags FROM
		(SELECT *` + whereSQL + ` ORDER BY position FETCH FIRST $5 ROWS WITH TIES) page ORDER BY position, n`
	countSQL = `SELECT count(*) FROM (SELECT` + whereSQL + ` LIMIT $5) page`
	pruneSQL = `DELETE FROM {schema}inbox_events i USING {schema}consumers c WHERE i.name = $1 AND c.name = $1 AND c.topic = '$reactor'
		AND i.position <= c.position AND NOT EXISTS (SELECT FROM {schema}parked_events p WHERE p.name = i.name AND p.position = i.position)`
	withoutSQL = `SELECT i.event_name, count(*), min(i.position) FROM {schema}inbox_events i WHERE i.name = $1 AND NOT i.event_name = ANY ($2)
		AND (i.position > coalesce((SELECT c.position FROM {schema}consumers c WHERE c.name = i.name AND c.topic = '$reactor'), 0)
			OR EXISTS (SELECT FROM {schema}parked_events p WHERE p.name = i.name AND p.position = i.position)) GROUP BY 1 ORDER BY 1`
)

const noLimit = 1 << 62

// ReceptionPrefix and an inbox's name are the name of the projection that receives for it.
const ReceptionPrefix = "inbox."

// reception is the name of the projection.
func (l *log) reception() string { return ReceptionPrefix + l.name }

// Registry implements [eventsourced.Registered].
func (l *log) Registry() *eventsourced.Registry { return l.registry }

// Head implements [eventsourced.LogReader].
func (l *log) Head(ctx context.Context) (head eventsourced.Position, err error) {
	err = l.store.Pool().QueryRow(ctx, l.store.Qualify(headSQL), l.reception(), l.name).Scan((*int64)(&head))
	return head, l.store.Explain("read the head of the inbox of "+l.name, err)
}

// arguments are those of whereSQL, and the limit.
func (l *log) arguments(q eventsourced.LogQuery) ([]any, error) {
	if len(q.Streams) > 0 || q.AggregateName != "" || !q.Since.IsZero() || !q.Until.IsZero() || q.Correlation != "" || q.Backwards {
		return nil, fmt.Errorf("inbox of %s: %w: it reads by position and name only", l.name, eventsourced.ErrUnsupported)
	}
	limit := int64(noLimit)
	if q.Limit > 0 {
		limit = int64(q.Limit)
	}
	names := q.Names
	if names == nil {
		names = []string{}
	}
	return []any{l.name, int64(q.After), int64(q.UpTo), names, limit}, q.Validate()
}

// ReadLog implements [eventsourced.LogReader]. It yields all parts of an event, also beyond
// the limit.
func (l *log) ReadLog(ctx context.Context, q eventsourced.LogQuery) iter.Seq2[eventsourced.Recorded, error] {
	return func(yield func(eventsourced.Recorded, error) bool) {
		arguments, err := l.arguments(q)
		if err != nil {
			yield(eventsourced.Recorded{}, err)
			return
		}
		rows, err := l.store.Pool().Query(ctx, l.store.Qualify(readSQL), arguments...)
		if err == nil {
			defer rows.Close()
			for rows.Next() {
				event, err := scan(rows)
				if err != nil {
					yield(event, l.store.Explain("read the inbox of "+l.name, err))
					return
				}
				if !yield(event, nil) {
					return
				}
			}
			err = rows.Err()
		}
		if err != nil {
			yield(eventsourced.Recorded{}, l.store.Explain("read the inbox of "+l.name, err))
		}
	}
}

func scan(row pgx.Row) (e eventsourced.Recorded, err error) {
	var payload, metadata, tags string
	err = row.Scan((*int64)(&e.Position), (*[16]byte)(&e.ID), &e.Name, &e.SchemaVersion, &e.Stream.AggregateName, &e.Stream.AggregateID,
		(*int64)(&e.Version), &e.Time, &payload, &metadata, &tags)
	if err != nil {
		return e, err
	}
	e.Time, e.Payload = e.Time.UTC(), []byte(payload)
	if err := json.Unmarshal([]byte(metadata), &e.Metadata); err != nil {
		return e, err
	}
	return e, json.Unmarshal([]byte(tags), &e.Tags)
}

// CountLog implements [eventsourced.LogReader].
func (l *log) CountLog(ctx context.Context, q eventsourced.LogQuery) (n int64, err error) {
	arguments, err := l.arguments(q)
	if err == nil {
		err = l.store.Pool().QueryRow(ctx, l.store.Qualify(countSQL), arguments...).Scan(&n)
		err = l.store.Explain("count the inbox of "+l.name, err)
	}
	return n, err
}

// Listen implements [eventsourced.Listener]: it tells of what this process receives.
func (l *log) Listen(ctx context.Context) <-chan struct{} {
	news := make(chan struct{}, 1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.listeners[news] = struct{}{}
	context.AfterFunc(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.listeners, news)
		close(news)
	})
	return news
}

func (l *log) wake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for news := range l.listeners {
		select {
		case news <- struct{}{}:
		default:
		}
	}
}

// receive is the handler of the reception for all events.
func (l *log) receive(ctx context.Context, tx readview.Tx, _ eventsourced.Event) error {
	e := eventsourced.FromContext(ctx)
	metadata, err := json.Marshal(e.Metadata)
	if err != nil {
		return err
	}
	tags, err := json.Marshal(e.Tags)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, l.store.Qualify(insertSQL), l.name, int64(e.Position), e.ID.String(), e.Name, e.SchemaVersion,
		e.Stream.AggregateName, e.Stream.AggregateID, int64(e.Version), e.Time, string(e.Payload), string(metadata), string(tags))
	return err
}

// prune deletes what has been handled.
func (l *log) prune(ctx context.Context) error {
	_, err := l.store.Pool().Exec(ctx, l.store.Qualify(pruneSQL), l.name)
	return l.store.Explain("delete what is handled from the inbox of "+l.name, err)
}

// warn says which events wait that the reactor has no reaction to, once for each name: it passes over them. Another program has received them,
// that had one.
func (l *log) warn(ctx context.Context, logger *slog.Logger) error {
	rows, err := l.store.Pool().Query(ctx, l.store.Qualify(withoutSQL), l.name, l.names)
	if err == nil {
		var name string
		var events, first int64
		_, err = pgx.ForEachRow(rows, []any{&name, &events, &first}, func() error {
			if !l.told[name] {
				l.told[name] = true
				logger.WarnContext(ctx, "events wait in the inbox that this program has no reaction to, they are passed over",
					"inbox", l.name, "event_name", name, "events", events, "position", first)
			}
			return nil
		})
	}
	return l.store.Explain("look for what the inbox of "+l.name+" has no reaction to", err)
}

// waking tells the log's listeners what an observer is told.
type waking struct {
	consumer.Observer
	log *log
}

func (w waking) Handled(ctx context.Context, progress consumer.Progress) {
	w.log.wake()
	w.Observer.Handled(ctx, progress)
}
