package readview

import (
	"context"
	"errors"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// known is a statement that the connection has prepared.
type known struct {
	description *pgconn.StatementDescription
	used        int64 // when, by the keeper's clock

	bulk  *bulk // nil when there is none
	tried bool  // to prepare it

	// undescribed is the statement with a column that is made up: of one without
	// columns pgconn has the server describe the result, each time. Nobody looks
	// at results.
	undescribed pgconn.StatementDescription
}

// names returns those that the server keeps.
func (k *known) names() (names []string) {
	if k.description.Name != "" {
		names = append(names, k.description.Name)
	}
	if k.bulk != nil && k.bulk.statement.Name != "" {
		names = append(names, k.bulk.statement.Name)
	}
	return names
}

// keeper is what a connection keeps from one pipeline to the next. What it keeps of a
// table is looked at again in each transaction.
type keeper struct {
	known    map[string]*known
	kinds    map[string]kindAt // of statements, by their text
	prepared int64             // statements so far
	clock    int64             // counts uses
	pages    int64             // counts transactions, and changes of tables in them
	recent   []*bulk           // those that this page has used
	rows     rows
}

func keeperOf(conn *pgx.Conn) *keeper {
	const key = "github.com/dancefinder/eventsourcing/readview"
	data := conn.PgConn().CustomData()
	k, ok := data[key].(*keeper)
	if !ok {
		k = &keeper{known: map[string]*known{}, kinds: map[string]kindAt{}}
		data[key] = k
	}
	k.pages++
	k.rows.of, k.rows.traces = nil, nil
	return k
}

// prepare returns the statement, which is prepared once a connection. Of too many, the
// one that was not used for longest is given up.
func (p *pipeline) prepare(query string) (*known, error) {
	p.clock++
	if k := p.known[query]; k != nil {
		k.used = p.clock
		return k, nil
	}
	if err := p.ask(); err != nil {
		return nil, err
	}
	if len(p.known) >= maxStatements {
		if err := p.evict(); err != nil {
			p.fail(p.event, err)
			return nil, err
		}
	}
	name := "" // behind a pooler that can't keep statements, it is parsed each time
	if p.named {
		// Not by its text: database/sql shares those, and closes them.
		p.prepared++
		name = "readview_" + strconv.FormatInt(p.prepared, 10)
	}
	description, err := p.pgx.PgConn().Prepare(p.ctx, name, query, nil)
	if err != nil {
		p.fail(p.event, err)
		return nil, err
	}
	k := &known{description: description, used: p.clock, undescribed: *description}
	k.undescribed.Fields = make([]pgconn.FieldDescription, 1)
	p.known[query] = k
	return k, nil
}

// evict gives up the statement that was not used for longest.
func (p *pipeline) evict() error {
	var oldest *known
	for _, k := range p.known {
		if oldest == nil || k.used < oldest.used {
			oldest = k
		}
	}
	delete(p.known, oldest.description.SQL)
	if p.last == oldest {
		p.last = nil
	}
	return p.deallocate(p.ctx, oldest.names())
}

// forget makes the connection prepare its statements anew: after a failure, as the
// tables may have changed since.
func (p *pipeline) forget(ctx context.Context) error {
	var names []string
	for _, k := range p.known {
		names = append(names, k.names()...)
	}
	clear(p.known)
	clear(p.kinds)
	p.last = nil
	return p.deallocate(ctx, names)
}

// deallocate has the server forget prepared statements, in one round trip.
func (p *pipeline) deallocate(ctx context.Context, names []string) error {
	if len(names) == 0 {
		return nil
	}
	open := p.pgx.PgConn().StartPipeline(ctx)
	for _, name := range names {
		open.SendDeallocate(name)
	}
	return errors.Join(open.Sync(), open.Close())
}

// Signs, in the source of a function, that it sets something which outlives its
// statement, and that it changes tables.
const (
	setting  = `(set_config|advisory_(un)?lock|setseed|(;|\mbegin|\mthen|\melse|\mloop|\matomic|^)\s*(set|reset|open|declare|prepare|deallocate|discard|listen)\s|\mtemp(orary)?\M|\mpg_temp\M|\mexecute\M|query_to_xml)`
	changing = `\m(alter|create|drop)\M`
)

// calledSQL tells, of the functions of these names and of the triggers of tables of these
// names that are not PostgreSQL's own or written in C: whether there are any, whether they
// look as if they set something, and whether they change tables.
const calledSQL = `WITH called AS (
		SELECT p.oid FROM pg_proc p WHERE lower(p.proname) = ANY($1)
		UNION
		SELECT t.tgfoid FROM pg_class c JOIN pg_trigger t ON t.tgrelid = c.oid WHERE c.relname = ANY($2) AND NOT t.tgisinternal
	), source AS (
		SELECT CASE WHEN p.prosrc = '' AND p.prokind IN ('f', 'p') THEN pg_get_functiondef(p.oid) ELSE p.prosrc END AS text
		FROM called JOIN pg_proc p USING (oid) JOIN pg_language l ON l.oid = p.prolang
		WHERE p.oid >= 16384 AND l.lanname NOT IN ('c', 'internal')
	)
	SELECT count(*) > 0, coalesce(bool_or(text ~* $3), false), coalesce(bool_or(text ~* $4), false) FROM source`

// kindAt is what a statement was found to be, for ever or for a page.
type kindAt struct {
	kind textKind
	page int64 // 0 is for ever
}

// kind tells what a statement may do besides reading and writing rows. Functions that
// are not PostgreSQL's own or written in C are looked into, triggers' too.
func (p *pipeline) kind(query string) (textKind, error) {
	if known, ok := p.kinds[query]; ok && (known.page == 0 || known.page == p.pages) {
		return known.kind, nil
	}
	at := kindAt{}
	var calls, tables []string
	at.kind, calls, tables = kindOf(query)
	if p.begun && p.open == nil && p.pgx.PgConn().TxStatus() == 'E' {
		return at.kind, nil // nothing can be asked, and nothing but a way back is possible
	}
	if len(calls)+len(tables) > 0 && at.kind < localText {
		if err := p.flush(); err != nil {
			return 0, err
		}
		var any, sets, changes bool
		err := p.pgx.QueryRow(p.ctx, calledSQL, append([]string{}, calls...), append([]string{}, tables...), setting, changing).Scan(&any, &sets, &changes)
		switch {
		case err != nil:
			return 0, err
		case sets:
			at.kind = sessionText
		case changes:
			at.kind = max(at.kind, tableText)
		}
		if any {
			at.page = p.pages // it may be another one by then
		}
	}
	if len(p.kinds) >= 4*maxStatements {
		clear(p.kinds)
	}
	p.kinds[query] = at
	return at.kind, nil
}
