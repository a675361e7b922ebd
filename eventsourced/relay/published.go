package relay

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

const (
	publishedSQL = `SELECT id, position, names, revision, since FROM {schema}relay_published WHERE name = $1 ORDER BY id`
	publishSQL   = `INSERT INTO {schema}relay_published (name, position, names, revision) VALUES ($1, $2, $3, $4)`
)

// Publication is what a relay publishes, [Config.Names] and [Config.Revision], and from where on.
type Publication struct {
	Number   int64                 // ascending
	Position eventsourced.Position // live messages above it are of this publication
	Names    []string              // sorted; none is all
	Revision int
	Since    time.Time
}

func (p Publication) has(name string) bool {
	return len(p.Names) == 0 || slices.Contains(p.Names, name)
}

// widens tells that somebody who has read what before says has missed something: of a name, or of any
// with "".
func (p Publication) widens(before Publication, name string) bool {
	switch {
	case name != "" && !p.has(name):
		return false
	case p.Revision != before.Revision:
		return true
	case name != "":
		return !before.has(name)
	case len(p.Names) == 0:
		return len(before.Names) > 0
	}
	return slices.ContainsFunc(p.Names, func(name string) bool { return !before.has(name) })
}

// publications are those of a relay, the first one first.
type publications []Publication

// widened returns the last publication that made more of events with these names public than the
// one before, or in another form. It has no number if there is none: then all of them has been
// published like that from the beginning. No names are all.
func (all publications) widened(names ...string) (last Publication) {
	if len(names) == 0 {
		names = []string{""}
	}
	for i := 1; i < len(all); i++ {
		if slices.ContainsFunc(names, func(name string) bool { return all[i].widens(all[i-1], name) }) {
			last = all[i]
		}
	}
	return last
}

// Published returns what the relay has published, the first one first. The last one is that of the
// program that has run last.
func (r *Relay) Published(ctx context.Context) ([]Publication, error) {
	rows, err := r.store.Pool().Query(ctx, r.store.Qualify(publishedSQL), r.config.Name)
	if err != nil {
		return nil, r.store.Explain("read what was published", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p Publication, err error) {
		err = row.Scan(&p.Number, (*int64)(&p.Position), &p.Names, &p.Revision, &p.Since)
		p.Since = p.Since.UTC()
		return p, err
	})
	return all, r.store.Explain("read what was published", err)
}

// publishAs puts on record what is published from here on, if it was something else before.
func (r *Relay) publishAs(ctx context.Context) error {
	all, err := r.Published(ctx)
	if err != nil {
		return err
	}
	names := slices.Compact(slices.Sorted(slices.Values(r.config.Names)))
	if last := len(all) - 1; last < 0 || !slices.Equal(all[last].Names, names) || all[last].Revision != r.config.Revision {
		f := r.follower
		err := r.store.SaveWith(ctx, f.ID(), f.Node(), f.Position(), f.Position(), func(batch *pgx.Batch) {
			batch.Queue(r.store.Qualify(publishSQL), r.config.Name, int64(f.Position()), append([]string{}, names...), r.config.Revision)
		})
		if err != nil {
			return err
		}
		if all, err = r.Published(ctx); err != nil {
			return err
		}
	}
	r.publications.Store((*publications)(&all))
	return nil
}

// widened returns the publication since which events with these names are published as they
// are, see [messaging.MetaPublication]. Whatever Translate calls them: a name that no event of
// the log has may be any of them.
func (r *Relay) widened(names []string) Publication {
	if r.translates() && slices.ContainsFunc(names, func(name string) bool { return r.log.Registry().SchemaVersion(name) == 0 }) {
		names = nil
	}
	return r.publications.Load().widened(names...)
}
