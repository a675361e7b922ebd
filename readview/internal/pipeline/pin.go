package pipeline

import (
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"
)

// The plan of a statement for many rows is kept as long as the server has heard of nothing new about the table, and a table
// that grows from empty is small when it is made: joined as a whole then, and so it would be when it is large.
// While such statements are executed nothing is planned but a look into the index for each row, and no plan is made
// twice for the values. Handlers' statements find the settings as they were.
//
//	pinSQL, the statements for many rows, unpinSQL, whatever is next
const (
	pinSQL = `SELECT set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
		set_config('plan_cache_mode', 'force_generic_plan', true)`
	unpinSQL = `SELECT set_config('enable_seqscan', $1, true), set_config('enable_hashjoin', $2, true), set_config('enable_mergejoin', $3, true),
		set_config('plan_cache_mode', $4, true)`
	settingsSQL = `ARRAY[current_setting('enable_seqscan'), current_setting('enable_hashjoin'), current_setting('enable_mergejoin'), current_setting('plan_cache_mode')]`
)

// pins are what sets and restores the settings, nil when the connection has not prepared it.
type pins struct{ pin, unpin *pgconn.StatementDescription }

// pinned is how the settings are in a transaction.
type pinned struct {
	before []string // as they were: see pinSQL
	now    bool     // they are not
}

// preparePins prepares it, once a connection.
func (tx *Tx) preparePins() error {
	if tx.pins.unpin != nil {
		return nil
	}
	var made [2]*pgconn.StatementDescription
	for i, query := range []string{pinSQL, unpinSQL} {
		var err error
		if made[i], err = tx.pgx.PgConn().Prepare(tx.ctx, "readview_pin_"+strconv.Itoa(i), query, nil); err != nil {
			return err
		}
	}
	tx.pins = pins{made[0], made[1]}
	return nil
}

// pin sets what the next statements for many rows are planned with.
func (tx *Tx) pin(event int) error {
	if tx.pinned.now {
		return nil
	}
	tx.pinned.now = true
	tx.start()
	tx.queue.open.SendQueryStatement(tx.pins.pin, nil, nil, nil)
	return tx.sent(statement{event: event}, size{})
}

// unpin restores it.
func (tx *Tx) unpin() error {
	if !tx.pinned.now {
		return nil
	}
	tx.pinned.now = false
	values := make([][]byte, len(tx.pinned.before))
	for i, setting := range tx.pinned.before {
		values[i] = []byte(setting)
	}
	tx.start()
	tx.queue.open.SendQueryStatement(tx.pins.unpin, values, make([]int16, len(values)), nil)
	return tx.sent(statement{event: NoEvent}, size{})
}
