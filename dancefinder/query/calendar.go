package query

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// CalendarLink is a user's link to their list for a calendar.
type CalendarLink struct {
	Subject string
	Hash    string // of its secret
	Created time.Time
}

// CalendarLinkByHash returns the link whose secret has this hash; nil when there is
// none.
func (r *Reader) CalendarLinkByHash(ctx context.Context, hash string) (*CalendarLink, error) {
	return r.calendarLink(ctx, "hash", hash)
}

// CalendarLinkOf returns the subject's link; nil when they have none.
func (r *Reader) CalendarLinkOf(ctx context.Context, subject string) (*CalendarLink, error) {
	return r.calendarLink(ctx, "subject", subject)
}

func (r *Reader) calendarLink(ctx context.Context, column, value string) (*CalendarLink, error) {
	rows, err := r.db.Query(ctx, `SELECT subject, hash, created FROM calendar_link WHERE `+column+` = $1`, value)
	if err != nil {
		return nil, err
	}
	links, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (l CalendarLink, err error) {
		return l, row.Scan(&l.Subject, &l.Hash, &l.Created)
	})
	if err != nil || len(links) == 0 {
		return nil, err
	}
	return &links[0], nil
}
