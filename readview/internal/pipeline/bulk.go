package pipeline

import (
	_ "embed"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// Inserts of one row each become one statement with many rows, which costs the server a little more than half: an upsert is executed once,
// for arrays of arguments.
//
//	INSERT INTO balance (account, amount) VALUES ($1, $2) ON CONFLICT (account) DO ...
//	INSERT INTO balance (account, amount) SELECT * FROM unnest($1, $2) ON CONFLICT (account) DO ...
//
// It is done where nobody can tell the difference: with statements that are no more
// than that (see [parseInsert]), on tables where nothing looks at the other rows (see
// plain.sql; a page looks once, and its lock keeps the table as it is), and
// for rows of different keys, as one statement can't update a row twice. When such
// a statement fails, the page is applied again without.
//
// Several such sets of rows are open at once, so that a handler may write its tables in turn. Those of
// other tables are sent in another order then, which is nobody's to see: nothing looks from one
// table to another, and what is drawn from outside of them, the next of a sequence, keeps its order.
//
//	what comes                                           what is sent first
//	a row of an open set's statement                     nothing; the set, if it is full or has the key
//	a row of another statement for an open set's table   that set
//	a row that counts, and so do those of an open set    that set
//	any other statement, a query, the end                all sets, as they began

// bulk is the statement for many rows.
type bulk struct {
	query     string // the statement for one row
	one       *prepared
	table     string
	version   string // of the table, when it was looked at
	relation  string // the table's oid, with which the version begins
	looked    int64  // with the lock of that page
	plain     bool   // the table was found to be, of that version
	known     string // which was this
	lasting   bool   // as long as that is the version
	counts    bool   // a row has what depends on the order among the rows of all tables: the next of a sequence, the time
	assigns   bool   // something, with operators whose meaning depends on types
	page      int64  // found out, or found unchanged, in that page
	statement pgconn.StatementDescription
	elements  []uint32 // the types of its arrays' elements
	key       []int    // the arguments that tell which row may be in the way; nil if none may
}

// prepareBulk returns the statement for many rows of what a statement does for one, nil if
// there is none.
func (tx *Tx) prepareBulk(k *prepared) (*bulk, error) {
	query, one := k.description.SQL, k.description
	insert, ok := parseInsert(query)
	if !ok || one.Name == "" || insert.columns != len(one.ParamOIDs) {
		return nil, nil
	}
	if err := tx.flush(); err != nil {
		return nil, err
	}
	arrays := make([]uint32, len(one.ParamOIDs))
	for i, oid := range one.ParamOIDs {
		element, ok := tx.pgx.TypeMap().TypeForOID(oid)
		if !ok {
			return nil, nil
		}
		if _, composite := element.Codec.(*pgtype.CompositeCodec); composite {
			return nil, nil // unnest makes several columns of it
		}
		array, ok := tx.pgx.TypeMap().TypeForName("_" + element.Name)
		if !ok {
			return nil, nil
		}
		arrays[i] = array.OID
	}
	var columns []string
	err := tx.pgx.QueryRow(tx.ctx, `SELECT coalesce(array_agg(attname::text), '{}') FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped`,
		insert.table).Scan(&columns)
	if err != nil || slices.ContainsFunc(insert.words, func(name string) bool {
		return !slices.Contains(columns, name) && !slices.Contains(insert.tables, name)
	}) {
		return nil, err // a name that is not a column's may be a function's
	}
	name := ""
	if one.Name != "" {
		name = one.Name + "_rows"
	}
	statement, err := tx.pgx.PgConn().Prepare(tx.ctx, name, insert.many, arrays)
	if err != nil {
		return nil, err
	}
	b := &bulk{query: query, one: k, table: insert.table, assigns: len(insert.words) > 0, statement: *statement, elements: one.ParamOIDs, key: insert.key}
	b.statement.Fields = make([]pgconn.FieldDescription, 1) // see prepared
	return b, nil
}

//go:embed plain.sql
var plainSQL string

// versionSQL tells the version of all that the catalogue has of a table itself.
const versionSQL = `SELECT concat_ws(' ', c.oid, c.xmin, c.ctid,
		(SELECT string_agg(a.xmin::text || a.ctid, ' ') FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0),
		(SELECT string_agg(d.xmin::text || d.ctid, ' ') FROM pg_attrdef d WHERE d.adrelid = c.oid),
		(SELECT string_agg(n.xmin::text || n.ctid, ' ') FROM pg_constraint n WHERE n.conrelid = c.oid),
		(SELECT string_agg(i.xmin::text || i.ctid, ' ') FROM pg_index i WHERE i.indrelid = c.oid),
		(SELECT string_agg(t.xmin::text || t.ctid, ' ') FROM pg_trigger t WHERE t.tgrelid = c.oid))
	FROM pg_class c WHERE c.oid = to_regclass($1)`

// look adds to a batch what tells whether the table is as it was. Its lock keeps others
// from changing that to the end of the transaction.
func (b *bulk) look(batch *pgx.Batch) {
	b.version = ""
	batch.Queue("LOCK TABLE ONLY " + b.table + " IN ROW EXCLUSIVE MODE")
	batch.Queue(versionSQL, b.table).QueryRow(func(row pgx.Row) error { return row.Scan(&b.version) })
}

// verify tells, as of this page, whether nobody can tell that rows go together. What the
// page before has used was looked at with the page's lock.
func (tx *Tx) verify(b *bulk) (plain bool, err error) {
	if b.page == tx.pages {
		return b.plain, nil
	}
	defer func() {
		if err != nil {
			err = tx.tear(b.query, err)
		}
	}()
	if b.looked != tx.pages {
		if err := tx.flush(); err != nil {
			return false, err
		}
		batch := &pgx.Batch{}
		b.look(batch)
		if err := tx.pgx.SendBatch(tx.ctx, batch).Close(); err != nil {
			return false, err
		}
	}
	if !b.lasting || b.version != b.known {
		if err := tx.flush(); err != nil {
			return false, err
		}
		if err := tx.pgx.QueryRow(tx.ctx, plainSQL, b.table).Scan(&b.lasting, &b.plain, &b.counts); err != nil {
			return false, err
		}
		b.plain = b.plain && (b.lasting || !b.assigns)
		b.known = b.version
	}
	b.relation, _, _ = strings.Cut(b.version, " ")
	b.page = tx.pages
	if b.plain && len(tx.recent) < maxRecent {
		tx.recent = append(tx.recent, b)
	}
	return b.plain, nil
}

// maxRecent bounds the tables that are looked at with the page's lock.
const maxRecent = maxSets
