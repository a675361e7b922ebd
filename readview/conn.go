package readview

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/dancefinder/eventsourcing/internal/pgerr"
)

// rollbackTimeout is for taking back a transaction. A connection on which that
// doesn't work is given up, which has the same effect.
const rollbackTimeout = 5 * time.Second

// openDB returns the database/sql view of a pool in which a transaction's BEGIN and
// COMMIT are the [pipeline]'s: they travel with its statements and cost no round
// trips of their own. All else is pgx's.
func openDB(pool *pgxpool.Pool) *sql.DB {
	config := pool.Config().ConnConfig
	db := sql.OpenDB(connector{stdlib.GetPoolConnector(pool), config.DefaultQueryExecMode, config.Tracer})
	db.SetMaxIdleConns(0) // they are the pool's
	return db
}

type connector struct {
	driver.Connector
	mode   pgx.QueryExecMode
	tracer pgx.QueryTracer
}

// Connect implements [driver.Connector].
func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &pageConn{Conn: conn.(*stdlib.Conn), mode: c.mode, tracer: c.tracer}, nil
}

// pageConn is a connection for the transaction of one page.
type pageConn struct {
	*stdlib.Conn
	mode   pgx.QueryExecMode
	tracer pgx.QueryTracer
	page   *pipeline
}

// newPipeline begins a transaction at READ COMMITTED on a connection of its own, of
// which the server hears with the first query. It ends with Commit or Rollback, and
// close.
func newPipeline(ctx context.Context, db *sql.DB, counted *sync.Map, how mode) (*pipeline, error) {
	p := &pipeline{ctx: ctx, counted: counted, mode: how, isolated: how == direct, event: noEvent, failed: noEvent}
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	err = conn.Raw(func(driverConn any) error {
		c := driverConn.(*pageConn)
		c.page, p.pgx, p.tracer = p, c.Conn.Conn(), c.tracer
		p.conn, p.driver = conn, c
		p.keeper = keeperOf(p.pgx)
		switch c.mode {
		case pgx.QueryExecModeCacheStatement:
			p.named = true
		case pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol: // which don't ask for types
			p.mode = direct
		}
		return nil
	})
	if err == nil {
		// When ctx ends, what is under way ends by itself; database/sql would roll
		// back beside it.
		ctx, p.end = context.WithCancel(context.WithoutCancel(ctx))
		p.Tx, err = conn.BeginTx(ctx, nil)
	}
	if err != nil {
		if p.end != nil {
			p.end()
		}
		return nil, errors.Join(err, conn.Close())
	}
	p.release = sync.OnceFunc(func() { _ = conn.Close() })
	return p, nil
}

// close takes back what is not committed and gives the connection back. It may be
// called again, and concurrently.
func (p *pipeline) close() {
	p.mu.Lock()
	dropped := p.dropped
	p.mu.Unlock()
	if dropped {
		return
	}
	_ = p.Rollback() // nothing to do after a commit
	p.mu.Lock()
	soiled := p.soiled
	p.mu.Unlock()
	if soiled {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(p.ctx), rollbackTimeout)
		defer cancel()
		_ = p.pgx.Close(ctx) // the pool makes another one
	}
	p.release()
	p.end()
}

// drop gives the connection up without database/sql, which may wait for ever for rows.
// The caller holds p.mu.
func (p *pipeline) drop() {
	p.dead, p.dropped = true, true
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.ctx), rollbackTimeout)
	defer cancel()
	_ = p.pgx.PgConn().Conn().Close()
	_ = p.pgx.Close(ctx)
	_ = p.driver.Conn.Close()
	p.end() // database/sql rolls back what is no more, beside us
}

// abandon ends the transaction of a handler that does not return. The connection is cut,
// so that a call to the database that the handler is in returns.
func (p *pipeline) abandon() {
	_ = p.pgx.PgConn().Conn().Close()
	p.mu.Lock()
	p.dead = true
	p.mu.Unlock()
	p.close()
}

// BeginTx implements [driver.ConnBeginTx].
func (c *pageConn) BeginTx(context.Context, driver.TxOptions) (driver.Tx, error) {
	return pageTx{c.page}, nil
}

type pageTx struct{ page *pipeline }

// Commit implements [driver.Tx].
func (tx pageTx) Commit() error { return tx.page.commit() }

// Rollback implements [driver.Tx].
func (tx pageTx) Rollback() error { return tx.page.rollback() }

// beginSQL opens the transaction.
const beginSQL = "begin isolation level read committed"

// rowQuery is a query of one row, and where to put it.
type rowQuery struct {
	query string
	args  []any
	into  []any
}

// queryRows makes queries in one round trip.
func queryRows(ctx context.Context, tx Tx, queries ...rowQuery) error {
	if t, ok := tx.(*eventTx); ok {
		return t.p.queryRows(queries)
	}
	for _, q := range queries {
		if err := tx.QueryRowContext(ctx, q.query, q.args...).Scan(q.into...); err != nil {
			return err
		}
	}
	return nil
}

// queryRows has BEGIN ahead the first time.
func (p *pipeline) queryRows(queries []rowQuery) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dead {
		return sql.ErrTxDone
	}
	if err := p.flush(); err != nil {
		return err
	}
	batch := &pgx.Batch{}
	if !p.begun {
		p.begun = true
		batch.Queue(beginSQL)
	}
	for _, q := range queries {
		batch.Queue(q.query, q.args...).QueryRow(func(row pgx.Row) error { return row.Scan(q.into...) })
	}
	before := p.recent
	p.recent = nil // should it not work, the next page does without
	for _, b := range before {
		b.look(batch)
	}
	err := p.pgx.SendBatch(p.ctx, batch).Close()
	for _, b := range before {
		if err == nil && b.version != "" {
			b.looked = p.pages
		}
	}
	return err
}

// commit sends what is queued, and COMMIT behind it, which the server does not reach
// when anything before it fails. What only we can tell has to be known before.
func (p *pipeline) commit() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := p.err
	if p.dead {
		err = sql.ErrTxDone
	}
	if err == nil && p.ones {
		err = p.flush()
	}
	if err == nil {
		err = p.sendRows()
	}
	if err != nil {
		_ = p.takeBack()
		return err
	}
	p.start()
	p.open.SendQueryParams("commit", nil, nil, nil, nil)
	p.queue = append(p.queue, statement{event: p.event})
	if err := p.flush(); err != nil {
		_ = p.takeBack()
		return err
	}
	if p.tag.String() != "COMMIT" {
		return errAborted
	}
	return nil
}

func (p *pipeline) rollback() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.takeBack()
}

// takeBack rolls back. What is under way is read to its end, so that the connection can
// be used again.
func (p *pipeline) takeBack() (err error) {
	if !p.begun {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.ctx), rollbackTimeout)
	defer cancel()
	if p.open != nil {
		err = errors.Join(p.open.Sync(), p.open.Close())
		for _, s := range p.queue {
			p.trace(s, errAborted)
		}
		p.open, p.queue = nil, p.queue[:0]
		if pgerr.Code(err) != "" {
			err = nil // a statement's, and taken back with it
		}
	}
	if err == nil && p.pgx.PgConn().TxStatus() != 'I' {
		_, err = p.pgx.Exec(ctx, "rollback")
	}
	if err == nil && p.err != nil {
		err = p.forget(ctx)
	}
	if err != nil {
		_ = p.pgx.Close(ctx) // the pool makes another one
	}
	return err
}
