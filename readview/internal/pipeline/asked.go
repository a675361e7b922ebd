package pipeline

import (
	"database/sql"
	"errors"

	"github.com/dancefinder/eventsourcing/internal/pgerr"
)

// asked is what the handler of an event that is alone has asked of the database, for those
// who want to know at which statement it failed.
type asked struct {
	last string // while the transaction was well
	bad  string // the last one that failed, and from which the handler went on
	err  error  // of bad, if it did not come from the server
}

// note notes a statement that the handler is about to execute.
func (t *Turn) note(query string) {
	switch tx := t.tx; {
	case tx.options.How != Alone:
	case tx.pgx.PgConn().TxStatus() == 'E':
		tx.asked.bad, tx.asked.err = tx.asked.last, nil
	default:
		tx.asked.last = query
	}
}

// failed notes the error of a statement, and returns it.
func (t *Turn) failed(query string, err error) error {
	if err != nil && t.tx.options.How == Alone {
		t.tx.asked.bad, t.tx.asked.err = query, err
	}
	return err
}

// Statement returns the text of the statement that an event which was alone failed with; "" if
// its error is about none.
func (tx *Tx) Statement(err error) string {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	switch asked := tx.asked; {
	case tx.options.How != Alone || tx.stage == fresh:
		return ""
	case pgerr.Lost(err):
		return asked.last
	case !tx.gone() && tx.pgx.PgConn().TxStatus() == 'E':
		return asked.last
	case pgerr.Code(err) != "", asked.err != nil && errors.Is(err, asked.err):
		return asked.bad
	case errors.Is(err, sql.ErrNoRows):
		return asked.last
	}
	return ""
}
