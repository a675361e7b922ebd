package pipeline

import (
	"context"
	"errors"
	"time"

	"github.com/dancefinder/eventsourcing/internal/pgerr"
)

// Commit commits what the turns have done. An error that comes to light only then, of
// a deferred constraint for one, is put down to event, see [Tx.Failure].
func (tx *Tx) Commit(event int) error {
	tx.Turn(tx.ctx, event)
	return tx.lent.tx.Commit()
}

// commit sends what is queued, and COMMIT behind it, which the server does not reach
// when anything before it fails. What only we can tell has to be known before.
func (tx *Tx) commit() error {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	err := tx.usable()
	if err == nil && tx.stage == fresh {
		tx.stage = ended
		return nil
	}
	if err == nil && tx.queue.ones {
		err = tx.flush()
	}
	if err == nil {
		err = tx.sendRows()
	}
	if err == nil {
		tx.start()
		tx.queue.open.SendQueryParams("commit", nil, nil, nil, nil)
		tx.queue.waiting = append(tx.queue.waiting, statement{event: tx.turn.event})
		err = tx.flush()
	}
	if err != nil {
		_ = tx.takeBack()
		return err
	}
	tx.stage = ended
	if tx.queue.tag.String() != "COMMIT" {
		return errAborted
	}
	return nil
}

// rollbackTimeout is for taking back a transaction. A connection on which that
// doesn't work is given up, which has the same effect.
const rollbackTimeout = 5 * time.Second

func (tx *Tx) rollback() error {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	return tx.takeBack()
}

// takeBack rolls back. What is under way is read to its end, so that the connection can
// be used again.
func (tx *Tx) takeBack() (err error) {
	if tx.stage == fresh || tx.stage == ended {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(tx.ctx), rollbackTimeout)
	defer cancel()
	if tx.queue.open != nil {
		err = errors.Join(tx.queue.open.Sync(), tx.queue.open.Close())
		for _, s := range tx.queue.waiting {
			tx.trace(s, errAborted)
		}
		tx.queue.clear()
		if pgerr.Code(err) != "" {
			err = nil // a statement's, and taken back with it
		}
	}
	if err == nil && tx.pgx.PgConn().TxStatus() != 'I' {
		_, err = tx.pgx.Exec(ctx, "rollback")
	}
	if err == nil && (tx.failure.err != nil || tx.stale) {
		err = tx.forget(ctx)
	}
	if err != nil || tx.gone() {
		_ = tx.pgx.Close(ctx) // the pool makes another one
	}
	if !tx.gone() {
		tx.stage = ended
	}
	return err
}

// Close takes back what is not committed and gives the connection back. It may be
// called again, and concurrently.
func (tx *Tx) Close() {
	tx.mu.Lock()
	given := tx.stage == dropped
	tx.mu.Unlock()
	if given {
		return
	}
	_ = tx.lent.tx.Rollback() // nothing to do after a commit
	tx.mu.Lock()
	soiled := tx.soiled
	tx.mu.Unlock()
	if soiled {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(tx.ctx), rollbackTimeout)
		defer cancel()
		_ = tx.pgx.Close(ctx) // the pool makes another one
	}
	tx.lent.release()
	tx.lent.end()
}

// Drop ends the transaction of a handler whose goroutine is no more: database/sql may
// wait for ever for the rows that it was reading.
func (tx *Tx) Drop() {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	tx.drop()
}

func (tx *Tx) drop() {
	tx.stage = dropped
	ctx, cancel := context.WithTimeout(context.WithoutCancel(tx.ctx), rollbackTimeout)
	defer cancel()
	_ = tx.pgx.PgConn().Conn().Close()
	_ = tx.pgx.Close(ctx)
	_ = tx.lent.driver.Conn.Close()
	tx.lent.end() // database/sql rolls back what is no more, beside us
}

// Abandon ends the transaction of a handler that does not return. The connection is cut,
// so that a call to the database that the handler is in returns. It may have to wait for
// that.
func (tx *Tx) Abandon() {
	_ = tx.pgx.PgConn().Conn().Close()
	tx.mu.Lock()
	tx.stage = max(tx.stage, cut)
	turn := tx.turn
	tx.mu.Unlock()
	if turn != nil {
		turn.closeAll(true) // database/sql waits for rows that are open
	}
	tx.Close()
}
