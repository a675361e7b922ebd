package readview

import (
	"context"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// known is a statement that the connection has prepared.
type known struct {
	description *pgconn.StatementDescription

	bulk  *bulk // nil when there is none
	tried bool  // to prepare it

	// undescribed is the statement with a column that is made up: of one without
	// columns pgconn has the server describe the result, each time. Nobody looks
	// at results.
	undescribed pgconn.StatementDescription
}

// keeper is what a connection keeps from one pipeline to the next.
type keeper struct {
	known map[string]*known
	rows  rows
}

func keeperOf(conn *pgx.Conn) *keeper {
	const key = "github.com/dancefinder/eventsourcing/readview"
	data := conn.PgConn().CustomData()
	k, ok := data[key].(*keeper)
	if !ok {
		k = &keeper{known: map[string]*known{}}
		data[key] = k
	}
	k.rows.of = nil
	return k
}

// prepare returns the statement, which is prepared once a connection; nil if there are
// too many.
func (p *pipeline) prepare(query string) (*known, error) {
	if k := p.known[query]; k != nil {
		return k, nil
	}
	if len(p.known) == maxStatements {
		return nil, nil
	}
	if err := p.ask(); err != nil {
		return nil, err
	}
	name := "" // behind a pooler that can't keep statements, it is parsed each time
	if p.named {
		// Not by its text: database/sql shares those, and closes them.
		name = "readview_" + strconv.Itoa(len(p.known))
	}
	description, err := p.pgx.PgConn().Prepare(p.ctx, name, query, nil)
	if err != nil {
		p.fail(p.event, err)
		return nil, err
	}
	k := &known{description: description, undescribed: *description}
	k.undescribed.Fields = make([]pgconn.FieldDescription, 1)
	p.known[query] = k
	return k, nil
}

// forget makes the connection prepare its statements anew: after a failure, as the
// tables may have changed since.
func (p *pipeline) forget(ctx context.Context) error {
	for query, k := range p.known {
		names := []string{k.description.Name}
		if k.bulk != nil {
			names = append(names, k.bulk.statement.Name)
		}
		for _, name := range names {
			if name == "" {
				continue // it is not kept
			}
			if err := p.pgx.PgConn().Deallocate(ctx, name); err != nil {
				return err
			}
		}
		delete(p.known, query)
	}
	return nil
}
