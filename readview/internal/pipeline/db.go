package pipeline

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
)

// DB begins the transactions of one projection on the connections of a pool, and knows
// what was found out about its statements. It is safe for concurrent use.
type DB struct {
	sql     *sql.DB
	named   bool            // connections keep prepared statements
	typed   bool            // and ask the server for the types of arguments
	tracer  pgx.QueryTracer // the pool's, nil for none
	counted sync.Map        // by text: true for statements that don't go together, an int for how often that failed in a row
	facts   memory          // of tables
}

// Open returns a DB on a pool. Handlers get the types of database/sql from it, in which
// BEGIN and COMMIT are ours: they travel with the statements and cost no round trips of
// their own. All else is pgx's.
func Open(pool *pgxpool.Pool) *DB {
	config := pool.Config().ConnConfig
	mode := config.DefaultQueryExecMode
	db := &DB{
		named:  mode == pgx.QueryExecModeCacheStatement,
		typed:  mode != pgx.QueryExecModeExec && mode != pgx.QueryExecModeSimpleProtocol,
		tracer: config.Tracer,
	}
	db.sql = sql.OpenDB(connector{stdlib.GetPoolConnector(pool)})
	db.sql.SetMaxIdleConns(0) // they are the pool's
	return db
}

// Close closes the DB once its transactions are. The pool stays.
func (db *DB) Close() error { return db.sql.Close() }

type connector struct{ driver.Connector }

// Connect implements [driver.Connector].
func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &driverConn{Conn: conn.(*stdlib.Conn)}, nil
}

// driverConn is a connection for one transaction.
type driverConn struct {
	*stdlib.Conn
	tx *Tx
}

// BeginTx implements [driver.ConnBeginTx].
func (c *driverConn) BeginTx(context.Context, driver.TxOptions) (driver.Tx, error) {
	return driverTx{c.tx}, nil
}

type driverTx struct{ tx *Tx }

// Commit implements [driver.Tx].
func (d driverTx) Commit() error { return d.tx.commit() }

// Rollback implements [driver.Tx].
func (d driverTx) Rollback() error { return d.tx.rollback() }
