package readview

import (
	"context"
	"time"

	"github.com/dancefinder/eventsourcing/readview/internal/pipeline"
)

// single calls the handler of the page's only event in a transaction that has the
// projection's lock, wherever that stands. prepare is called before, finish at the end: it
// commits, or does not. ctx bounds all of it, also a handler that does not return.
func (a *applier) single(ctx context.Context, db *pipeline.DB, p *page, prepare func(own *pipeline.Turn) error,
	finish func(tx *pipeline.Tx, event int) error) error {
	defer context.AfterFunc(ctx, func() { time.AfterFunc(giveUpAfter, p.giveUp) })()
	return p.attempt(ctx, func(ctx context.Context, p *page) error {
		tx, err := db.Begin(ctx, pipeline.Options{How: pipeline.Alone})
		if err != nil {
			return err
		}
		p.tx.Store(tx)
		defer func() {
			if p.exited.Load() != 0 {
				tx.Drop()
			}
			tx.Close()
		}()
		own := tx.Turn(ctx, pipeline.NoEvent)
		var setting string
		err = own.QueryRows(pipeline.Query{SQL: `SELECT set_config('lock_timeout', $1, true)`, Args: []any{a.m.config.lockSetting()}, Into: []any{&setting}})
		if err == nil { // it may never have run
			err = a.m.states.make(ctx, own, a.definition)
		}
		if err == nil {
			_, _, err = a.m.states.checkpoint(ctx, own, a.Name, a.m.config.idleSetting())
		}
		if err == nil {
			err = prepare(own)
		}
		if err != nil {
			return err
		}
		if _, _, err = a.callAll(ctx, p, tx, checkpoint{}, behind{}, 0, 1); err != nil {
			return err
		}
		if err := finish(tx, 0); err != nil {
			_, err = a.blame(p, tx, 0, err)
			return err
		}
		return nil
	})
}
