package readview

import (
	"context"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/readview/internal/pipeline"
	"github.com/dancefinder/eventsourcing/readview/internal/shadow"
)

// target is what an applier writes, and where the position of that is: the live tables, or shadows of
// them. Its methods are called in the transaction of a page.
type target interface {
	// searchPath is the transaction's, "" for the one that the connection has.
	searchPath() string

	// checkpoint locks the position, and tells how many events are parked; [sql.ErrNoRows] when there is no position.
	checkpoint(ctx context.Context, own *pipeline.Turn) (at checkpoint, parked int64, err error)

	// inspect is called when the handlers have returned. Its error takes the page back.
	inspect(tx *pipeline.Tx) error

	// set moves the position.
	set(ctx context.Context, tx Tx, to eventsourced.Position) error

	// applied is called after the commit.
	applied(ctx context.Context, progress consumer.Progress)

	// partly is called after that when the transaction has ended before its last item, as it took long: those from end on follow.
	partly(ctx context.Context, p *page, end int)

	// lost is called when connections are lost again and again, and the page is tried anew.
	lost(ctx context.Context, err error)
}

// live is the tables that everybody reads.
type live struct{ *applier }

func (t live) searchPath() string { return "" }

func (t live) checkpoint(ctx context.Context, own *pipeline.Turn) (at checkpoint, parked int64, err error) {
	return t.m.states.checkpoint(ctx, own, t.Name, t.m.config.idleSetting())
}

func (t live) inspect(*pipeline.Tx) error { return nil }

func (t live) set(ctx context.Context, tx Tx, to eventsourced.Position) error {
	return t.m.states.set(ctx, tx, t.Name, to)
}

func (t live) applied(ctx context.Context, progress consumer.Progress) {
	t.m.config.Observer.Handled(ctx, progress)
}

// partly does what [applier.succeed] does at the end of the page.
func (t live) partly(ctx context.Context, p *page, end int) {
	t.recovered(ctx, p.generation)
	t.announce(p.position(end), p.committing())
}

func (t live) lost(ctx context.Context, err error) { t.trip(ctx, err, 0) }

// shadowed is the shadow tables of a replay. Its commits need not wait for the disk: what a crash takes of them is
// replayed, as it takes the position, too.
type shadowed struct{ *replay }

func (t shadowed) searchPath() string { return t.tables.Path(t.schema) }

func (t shadowed) checkpoint(_ context.Context, own *pipeline.Turn) (at checkpoint, parked int64, err error) {
	var settings string
	at.Running = true
	return at, 0, own.QueryRows(pipeline.Query{
		SQL: t.sql.page, Args: []any{t.Name, t.kind, t.id, t.m.config.idleSetting()}, Into: []any{(*int64)(&at.Position), &settings},
	})
}

func (t shadowed) inspect(tx *pipeline.Tx) error {
	var text string
	own := tx.Turn(context.Background(), pipeline.NoEvent)
	err := own.QueryRows(pipeline.Query{SQL: shadow.TouchedSQL, Args: []any{t.schema, t.tables.OIDs(), t.sql.schema, ownTables}, Into: []any{&text}})
	if err != nil {
		return err
	}
	touched, read, err := shadow.ParseTouched(text)
	if err != nil {
		return err
	}
	t.note(touched, read)
	return nil
}

func (t shadowed) set(ctx context.Context, tx Tx, to eventsourced.Position) error {
	_, err := tx.ExecContext(ctx, t.sql.pageSet, t.Name, t.kind, t.id, int64(to))
	return err
}

func (t shadowed) applied(_ context.Context, progress consumer.Progress) {
	t.events.Add(int64(progress.Events))
}

func (t shadowed) partly(context.Context, *page, int) {}

func (t shadowed) lost(ctx context.Context, err error) {
	t.logger.WarnContext(ctx, t.command+" tries again", "error", err)
}
