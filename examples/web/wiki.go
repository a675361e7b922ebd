package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/readview"
)

type (
	Page    struct{ eventsourced.Root }
	Written struct {
		eventsourced.BaseEvent
		Text string
	}
)

func (e *Written) ApplyTo(*Page) {} // no decision depends on the text

var errEmpty = errors.New("a page has a text")

func (p *Page) Write(text string) error {
	if text == "" {
		return errEmpty
	}
	return eventsourced.Record(p, &Written{Text: text})
}

const pageTable = `CREATE TABLE IF NOT EXISTS page (title TEXT PRIMARY KEY, text TEXT NOT NULL, version BIGINT NOT NULL)`

func onWritten(ctx context.Context, tx readview.Tx, e *Written) error {
	return readview.Exec(ctx, tx, `INSERT INTO page (title, text, version) VALUES ($1, $2, $3)
		ON CONFLICT (title) DO UPDATE SET text = EXCLUDED.text, version = EXCLUDED.version`,
		e.AggregateID(), e.Text, int64(eventsourced.FromContext(ctx).Version))
}

type wiki struct {
	pool    *pgxpool.Pool
	pages   *eventsourced.Repository[Page]
	manager *readview.Manager
}

// write is the command. If-Match is the ETag that the writer has seen, "0" for a new page.
func (w wiki) write(rw http.ResponseWriter, r *http.Request) {
	var seen eventsourced.Version
	if _, err := fmt.Sscanf(r.Header.Get("If-Match"), `"%d"`, &seen); err != nil {
		http.Error(rw, `If-Match has to be the ETag that you have seen, "0" for none`, http.StatusPreconditionRequired)
		return
	}
	position, err := w.pages.UpdateAt(r.Context(), r.PathValue("title"), seen, func(p *Page) error {
		return p.Write(r.FormValue("text"))
	})
	if err != nil {
		refuse(rw, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	if w.manager.WaitFor(ctx, position) != nil {
		rw.WriteHeader(http.StatusAccepted) // it is written, and will show later
		return
	}
	rw.WriteHeader(http.StatusNoContent) // the next query shows it
}

// read is the query: it knows nothing of events.
func (w wiki) read(rw http.ResponseWriter, r *http.Request) {
	var text string
	var version int64
	err := w.pool.QueryRow(r.Context(), `SELECT text, version FROM page WHERE title = $1`, r.PathValue("title")).Scan(&text, &version)
	if err != nil {
		refuse(rw, err)
		return
	}
	rw.Header().Set("ETag", fmt.Sprintf(`"%d"`, version))
	_, _ = io.WriteString(rw, text) // whoever has hung up need not read it
}

func refuse(rw http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		http.Error(rw, "no such page", http.StatusNotFound)
	case errors.Is(err, eventsourced.ErrConflict):
		http.Error(rw, "somebody else was faster: read the page again", http.StatusConflict)
	case errors.Is(err, errEmpty):
		http.Error(rw, err.Error(), http.StatusUnprocessableEntity)
	default:
		log.Print(err)
		http.Error(rw, "it is not your fault", http.StatusInternalServerError)
	}
}
