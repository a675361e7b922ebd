package pgstore

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

const (
	// RecentTime is over how long [Figures] Recent counts.
	RecentTime = time.Minute
	// MaxRecent is how far it counts.
	MaxRecent = 100_000

	maxReplicas = 50 // that are listed, and slots
)

// Figures are what the database says of the log and of what may hold it up, whichever process does it.
type Figures struct {
	At         time.Time             `json:"at"`          // by the database's clock
	Head       eventsourced.Position `json:"head"`        // of the log
	Events     int64                 `json:"events"`      // about how many the table has, as of the last ANALYZE; -1 before the first
	Archived   int64                 `json:"archived"`    // in the archive, with those that the table still has
	Recent     int64                 `json:"recent"`      // events of the last [RecentTime], up to [MaxRecent]
	RecentMore bool                  `json:"recent_more"` // there are more

	Relations []Relation `json:"relations"` // the tables and their indexes, the largest first

	Holder *LockHolder `json:"holder"` // who has the log's lock just now, nil for nobody
	Oldest *LockHolder `json:"oldest"` // whose transaction has been open for longest in this database; nil for nobody. Nothing that was deleted since can be cleaned up
	Hidden int         `json:"hidden"` // sessions of this database that the role may not look into: pg_read_all_stats lets it

	Replica  bool          `json:"replica"`     // the server is one itself, and read-only
	Replayed time.Duration `json:"replayed_ns"` // of a replica: how long ago what it has replayed last was committed

	Replicas []Replica `json:"replicas"` // of this server, 50 at most
	Slots    []Slot    `json:"slots"`    // likewise
}

// Relation is a table or an index.
type Relation struct {
	Name  string `json:"name"`
	Table string `json:"table"` // of an index; "" for a table
	Bytes int64  `json:"bytes"` // of a table, with what is stored beside it (TOAST) and without its indexes
}

// Replica is a server that follows this one. Without the rights of pg_read_all_stats only its
// name is known.
type Replica struct {
	Application string        `json:"application"`
	Client      string        `json:"client"`       // the address
	State       string        `json:"state"`        // such as "streaming"
	Sync        string        `json:"sync"`         // "async", "sync", "quorum" or "potential"
	Behind      int64         `json:"behind_bytes"` // bytes of WAL that it has not replayed, -1 when that is not known
	Lag         time.Duration `json:"lag_ns"`
}

// Slot is a replication slot: the server keeps the WAL from there on, if it must until its disk is full.
type Slot struct {
	Name   string `json:"name"`
	Kind   string `json:"kind"` // "physical" or "logical"
	Active bool   `json:"active"`
	Kept   int64  `json:"kept_bytes"` // bytes of WAL, -1 when that is not known
}

// Client is a program that is connected to the log's database, as the server tells its sessions apart.
type Client struct {
	Application string    `json:"application"` // the application_name
	User        string    `json:"user"`
	Address     string    `json:"address"` // "" for one on the server's own machine, and for one that the role may not look into
	Sessions    int       `json:"sessions"`
	Active      int       `json:"active"`    // of which do something just now, or have a transaction open
	Listening   bool      `json:"listening"` // it waits for new events of this log
	Since       time.Time `json:"since"`     // the oldest of its sessions
}

// Clients returns the programs that are connected to the log's database, those with the most sessions
// first, 50 at most. Errors: [ErrTooLong].
func (i *Inspector) Clients(ctx context.Context) (all []Client, err error) {
	err = i.ask(ctx, "look at the sessions", func(ctx context.Context, tx inspection) error {
		all, err = rowsOf[Client](ctx, tx, i.store.sql.clients, maxReplicas)
		return err
	})
	return all, err
}

// Figures returns them, of the moment. It looks at no event: it counts positions of the last
// minute. Errors: [ErrTooLong].
func (i *Inspector) Figures(ctx context.Context) (f Figures, err error) {
	err = i.ask(ctx, "look at the log", func(ctx context.Context, tx inspection) error {
		f = Figures{}
		if err := i.measure(ctx, tx, &f); err != nil {
			return err
		}
		if f.Holder, err = holder(ctx, tx, i.store.sql.holder, int32(0)); err != nil {
			return err
		}
		if f.Oldest, err = holder(ctx, tx, oldestSQL); err != nil {
			return err
		}
		if f.Relations, err = rowsOf[Relation](ctx, tx, i.store.sql.relations); err != nil {
			return err
		}
		if f.Replicas, err = replicas(ctx, tx); err != nil {
			return err
		}
		f.Slots, err = rowsOf[Slot](ctx, tx, slotsSQL, maxReplicas)
		return err
	})
	return f, err
}

func (i *Inspector) measure(ctx context.Context, tx inspection, f *Figures) error {
	var replayed *float64
	err := tx.QueryRow(ctx, i.store.sql.figures).Scan(&f.At, (*int64)(&f.Head), &f.Events, &f.Hidden, &f.Replica, &replayed, &f.Archived)
	if err != nil {
		return err
	}
	f.At = f.At.UTC()
	if replayed != nil {
		f.Replayed = max(time.Duration(*replayed*float64(time.Second)), 0)
	}
	query := eventsourced.LogQuery{After: eventsourced.Position(f.At.Add(-RecentTime).UnixMicro()), Limit: MaxRecent + 1}
	sql, arguments := i.store.sql.counting(query)
	if err := tx.QueryRow(ctx, sql, arguments...).Scan(&f.Recent); err != nil {
		return err
	}
	if f.RecentMore = f.Recent > MaxRecent; f.RecentMore {
		f.Recent = MaxRecent
	}
	return nil
}

const (
	figuresSQL = `SELECT clock_timestamp(), coalesce((SELECT max(tstamp) FROM {events}), 0),
		(SELECT CASE WHEN reltuples < 0 THEN -1 ELSE reltuples::bigint END FROM pg_class WHERE oid = {oid}),
		(SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query = '<insufficient privilege>'),
		pg_is_in_recovery(), CASE WHEN pg_is_in_recovery() THEN date_part('epoch', clock_timestamp() - pg_last_xact_replay_timestamp()) END,
		(SELECT coalesce(sum(events), 0)::bigint FROM {log_archive})`
	relationsSQL = `WITH tables AS (SELECT unnest(ARRAY[{oid}, {oid_snapshots}]) AS oid)
		SELECT c.relname::text, '', pg_table_size(c.oid) FROM tables JOIN pg_class c USING (oid)
		UNION ALL
		SELECT c.relname::text, t.relname::text, pg_relation_size(c.oid) FROM tables JOIN pg_index x ON x.indrelid = tables.oid
			JOIN pg_class c ON c.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid
		ORDER BY 3 DESC, 1`
	// The session's own transaction is left out, and the server's own processes, such as a vacuum.
	oldestSQL = `SELECT pid, '', coalesce(state, ''), coalesce(left(regexp_replace(query, '\s+', ' ', 'g'), 100), ''), coalesce(usename, '')::text,
			coalesce(application_name, ''), coalesce(host(client_addr), ''), coalesce(backend_start, 'epoch'), xact_start, (date_part('epoch', clock_timestamp() - xact_start) * 1000000)::bigint
		FROM pg_stat_activity WHERE datname = current_database() AND xact_start IS NOT NULL AND pid <> pg_backend_pid() AND backend_type = 'client backend'
		UNION ALL
		SELECT 0, gid, '', '', owner::text, '', '', 'epoch', prepared, (date_part('epoch', clock_timestamp() - prepared) * 1000000)::bigint
		FROM pg_prepared_xacts WHERE database = current_database()
		ORDER BY 9 LIMIT 1`
	// A listener shows itself by a lock, see Listen.
	clientsSQL = `SELECT coalesce(application_name, ''), coalesce(usename, '')::text, coalesce(host(client_addr), ''), count(*)::int,
			count(*) FILTER (WHERE state <> 'idle' AND pid <> pg_backend_pid())::int, coalesce(bool_or(pid = ANY (ARRAY(SELECT pid FROM pg_locks
				WHERE locktype = 'advisory' AND classid = 1702260335 AND objid = {oid} AND objsubid = 2
					AND database = (SELECT oid FROM pg_database WHERE datname = current_database())))), false), coalesce(min(backend_start), 'epoch')
		FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend' GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3 LIMIT $1`
	walSQL      = `CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END`
	replicasSQL = `SELECT coalesce(application_name, ''), coalesce(host(client_addr), ''), coalesce(state, ''), coalesce(sync_state, ''),
			coalesce(pg_wal_lsn_diff(` + walSQL + `, replay_lsn)::bigint, -1), coalesce((date_part('epoch', replay_lag) * 1000000)::bigint, 0)
		FROM pg_stat_replication ORDER BY 1, 2 LIMIT $1`
	slotsSQL = `SELECT slot_name::text, slot_type, active, coalesce(pg_wal_lsn_diff(` + walSQL + `, restart_lsn)::bigint, -1)
		FROM pg_replication_slots ORDER BY 4 DESC, 1 LIMIT $1`
)

// holder reads one, nil when there is none.
func holder(ctx context.Context, tx pgx.Tx, sql string, arguments ...any) (*LockHolder, error) {
	rows, err := tx.Query(ctx, sql, arguments...)
	if err != nil {
		return nil, err
	}
	all, err := pgx.CollectRows(rows, scanHolder)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return &all[0], nil
}

func scanHolder(row pgx.CollectableRow) (h LockHolder, err error) {
	var micros int64
	err = row.Scan(&h.PID, &h.Transaction, &h.State, &h.Query, &h.User, &h.Application, &h.Client, &h.Connected, &h.Since, &micros)
	h.at(micros)
	return h, err
}

// at sets the times of one that was scanned.
func (h *LockHolder) at(micros int64) {
	h.Since, h.Age, h.Connected = h.Since.UTC(), time.Duration(micros)*time.Microsecond, h.Connected.UTC()
	if h.Connected.Unix() == 0 {
		h.Connected = time.Time{}
	}
}

func replicas(ctx context.Context, tx pgx.Tx) ([]Replica, error) {
	rows, err := tx.Query(ctx, replicasSQL, maxReplicas)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (r Replica, err error) {
		var micros int64
		err = row.Scan(&r.Application, &r.Client, &r.State, &r.Sync, &r.Behind, &micros)
		r.Lag = time.Duration(micros) * time.Microsecond
		return r, err
	})
}

func rowsOf[T any](ctx context.Context, tx pgx.Tx, sql string, arguments ...any) ([]T, error) {
	rows, err := tx.Query(ctx, sql, arguments...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[T])
}
