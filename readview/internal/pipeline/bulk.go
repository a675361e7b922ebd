package pipeline

import (
	"slices"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// Statements about one row each become one statement for many rows, which costs the server a little more than half: an upsert
// is executed once, for arrays of arguments.
//
//	INSERT INTO balance (account, amount) VALUES ($1, $2) ON CONFLICT (account) DO ...
//	INSERT INTO balance (account, amount) SELECT * FROM unnest($1, $2) ON CONFLICT (account) DO ...
//
// It is done where nobody can tell the difference: with statements that are no more
// than that (see [parseInsert], [parseKeyed]), on tables where nothing looks at the other rows (see
// facts.go; a page looks once, and its lock keeps the table as it is), and
// for rows of different keys, as one statement can't update a row twice. When such
// a statement fails, the page is applied again without.
//
// Several such sets of rows are open at once, so that a handler may write its tables in turn. Those of
// other tables are sent in another order then, which is nobody's to see: nothing looks from one
// table to another, and what is drawn from outside of them, the next of a sequence, keeps its order.
// So is what is done to one key of a table: what is done to different ones is not seen by either, where the key is all that is
// unique and nothing changes it. A row goes into the first set of its statement that is not before another one which it has to come
// after:
//
//	open sets                         INSERT {1 2 3}   UPDATE {2 7}   DELETE {1}
//	UPDATE 5, UPDATE 3, UPDATE 1      INSERT {1 2 3}   UPDATE {2 7 5 3}   DELETE {1}   UPDATE {1}
//
//	what comes                                        what it has to come after
//	a row                                             sets of its table that have its key, or may have: their rows or it have no such
//	                                                  key; and if it counts, sets that do
//	a SELECT of a key                                 likewise: these sets are sent, and those which are before them
//	any other statement, a query, the end             all sets
//
// A set is sent when it is full, and when there are too many, as they began.

// bulk is the statement for many rows.
type bulk struct {
	query     string // the statement for one row
	one       *prepared
	form      form
	table     *table
	decided   *facts // of the table, from which follows:
	plain     bool   // nobody can tell whether its rows go together
	key       []int  // the arguments that tell which row is meant, or may be in the way; nil if none may
	exact     bool   // they are a key of the table
	shared    bool   // all that is unique there
	once      bool   // no row can be in the statement twice
	counts    bool   // a row has what depends on the order among the rows of all tables
	replaces  bool   // of two rows of a key, the first one makes no difference; see replace.go
	needed    []int  // the arguments that must not be NULL
	tried     bool   // to prepare
	statement pgconn.StatementDescription
	elements  []uint32 // the types of its arrays' elements
}

// newBulk returns the statement for many rows of what a statement does for one, nil if
// there is none. It is not prepared yet.
func (tx *Tx) newBulk(k *prepared) *bulk {
	f, ok := parse(k.description.SQL)
	if !ok {
		f, ok = parseKeyed(k.description.SQL) // a SELECT, which has none, but meets those that have
	}
	if !ok || k.description.Name == "" || f.count != len(k.description.ParamOIDs) {
		return nil
	}
	for _, c := range f.casts {
		if k.description.ParamOIDs[c.argument] != c.oid {
			return nil // it is made another type's
		}
	}
	return &bulk{query: k.description.SQL, one: k, form: f, table: tx.table(f.table), elements: k.description.ParamOIDs}
}

// prepareBulk prepares it, and tells whether it can be.
func (tx *Tx) prepareBulk(b *bulk) (ok bool, err error) {
	if b.form.many == "" {
		return false, nil
	}
	arrays := make([]uint32, len(b.elements))
	for i, oid := range b.elements {
		element, ok := tx.pgx.TypeMap().TypeForOID(oid)
		if !ok {
			return false, nil
		}
		if _, composite := element.Codec.(*pgtype.CompositeCodec); composite {
			return false, nil // unnest makes several columns of it
		}
		array, ok := tx.pgx.TypeMap().TypeForName("_" + element.Name)
		if !ok {
			return false, nil
		}
		arrays[i] = array.OID
	}
	if err := tx.flush(); err != nil {
		return false, err
	}
	if err := tx.preparePins(); err != nil {
		return false, err
	}
	statement, err := tx.pgx.PgConn().Prepare(tx.ctx, b.one.description.Name+"_rows", b.form.many, arrays)
	if err != nil {
		return false, err
	}
	if b.form.verb == selects {
		if !b.finds(statement.Fields) {
			return false, nil
		}
		b.statement = *statement
		return true, nil
	}
	b.statement = *statement
	b.statement.Fields = make([]pgconn.FieldDescription, 1) // see prepared
	return true, nil
}

// finds tells whether a look-up of many rows has the columns of that of one, behind the number of the row.
func (b *bulk) finds(fields []pgconn.FieldDescription) bool {
	return len(fields) > 1 && fields[0].DataTypeOID == pgtype.Int8OID && slices.EqualFunc(fields[1:], b.one.description.Fields, func(f, g pgconn.FieldDescription) bool {
		return f.DataTypeOID == g.DataTypeOID && f.Name == g.Name
	})
}

// decide says what the statement is, with what is known of its table.
func (b *bulk) decide() {
	t, f := b.table, &b.form
	if b.decided == t.facts {
		return
	}
	b.decided = t.facts
	b.plain = t.plain && !slices.ContainsFunc(f.words, func(name string) bool {
		return !slices.Contains(t.columns, name) && !slices.Contains(f.names, name) // it may be a function's
	})
	b.plain = b.plain && (len(f.casts) == 0 && !f.again || b.ownTypes())
	b.key, b.exact, b.shared, b.once, b.counts = f.target, false, false, f.target != nil, false
	columns := t.key(f.columns)
	switch f.verb {
	case inserts:
		b.counts = t.draws
		columns = t.only()
		if columns != nil && slices.ContainsFunc(columns, func(name string) bool { return slices.Contains(f.words, name) }) {
			columns = nil // an upsert may set it
		}
	case updates:
		b.once, b.counts = true, t.asks
		b.plain = b.plain && t.free(f.assigned)
	}
	if f.assigned != nil || f.target != nil {
		b.plain = b.plain && t.lasting // the meaning of operators depends on types
	}
	if key := f.of(columns); key != nil && b.comparable(columns, key) {
		b.key, b.exact, b.shared = key, true, t.only() != nil
	}
	b.plain = b.plain && (b.exact || f.verb == inserts)
	b.replaces, b.needed = f.replaces && b.plain && b.shared && t.takes && !b.counts && b.asColumns(), f.given(t.needed)
}

// ownTypes tells whether arguments become values of other types, if they do, in PostgreSQL's own ways.
func (b *bulk) ownTypes() bool {
	others := func(oid uint32) bool { return oid >= firstOfOurs }
	columns := append(slices.Clone(b.form.columns), b.form.assigned...)
	return !slices.ContainsFunc(b.elements, others) && !slices.ContainsFunc(columns, func(name string) bool { return others(b.table.types[name]) })
}

// comparable tells whether the arguments of a key are the same in all statements if they are in the table.
func (b *bulk) comparable(columns []string, key []int) bool {
	for i, n := range key {
		if !slices.Contains(keyTypes, b.elements[n]) || keyKind(b.elements[n]) != keyKind(b.table.types[columns[i]]) {
			return false
		}
	}
	return true
}

// asColumns tells whether each argument of an INSERT is of the type of the column that it is for.
func (b *bulk) asColumns() bool {
	for at, n := range b.form.arguments {
		if n >= 0 && b.elements[n] != b.table.types[b.form.columns[at]] {
			return false
		}
	}
	return true
}

// of returns the arguments of columns, nil where one has none.
func (f *form) of(columns []string) (arguments []int) {
	for _, name := range columns {
		at := slices.Index(f.columns, name)
		if at < 0 || f.arguments[at] < 0 {
			return nil
		}
		arguments = append(arguments, f.arguments[at])
	}
	return arguments
}

// given returns the arguments that are columns of these.
func (f *form) given(columns []string) (arguments []int) {
	for at, name := range f.columns {
		if n := f.arguments[at]; n >= 0 && slices.Contains(columns, name) {
			arguments = append(arguments, n)
		}
	}
	return arguments
}

// bulk returns how a statement goes together with others of its kind, nil if it does
// not. The first of a kind in a page goes by itself: there may be no other.
func (tx *Tx) bulk(k *prepared) (*bulk, error) {
	again := k.page == tx.pages
	k.page = tx.pages
	if !again || tx.options.How != Together {
		return nil, nil
	}
	if alone, _ := tx.db.counted.Load(k.description.SQL); alone == true { // counts of its rows are asked for, or it was torn
		return nil, nil
	}
	b := tx.form(k)
	if b == nil || b.form.verb == selects {
		return nil, nil
	}
	if b, err := tx.plain(b); b == nil || err != nil {
		return nil, err
	}
	if !b.tried {
		b.tried = true
		if ok, err := tx.prepareBulk(b); !ok || err != nil {
			k.bulk = nil
			if err != nil {
				err = tx.tear(b.query, err)
			}
			return nil, err
		}
	}
	return b, nil
}

// form returns what a statement does for one row, nil if it is something else.
func (tx *Tx) form(k *prepared) *bulk {
	if !k.tried {
		k.tried, k.bulk = true, tx.newBulk(k)
	}
	return k.bulk
}

// plain finds out about its table, and returns nil if somebody can tell whether its rows go together.
func (tx *Tx) plain(b *bulk) (*bulk, error) {
	if err := tx.lookAt(b.table, toWrite); err != nil {
		return nil, tx.tear(b.query, err)
	}
	if b.decide(); !b.plain {
		return nil, nil
	}
	return b, nil
}

// lookUp returns what a query of one key is about, nil if it is something else, or of a table of which
// this page knows nothing.
func (tx *Tx) lookUp(k *prepared) *bulk {
	if tx.options.How != Together {
		return nil
	}
	b := tx.form(k)
	if b == nil || b.form.verb != selects || !tx.seen(b.table, toRead) {
		return nil
	}
	if b.decide(); !b.plain {
		return nil
	}
	return b
}

// tear gives up to do a statement's rows together: that would fail each time.
func (tx *Tx) tear(query string, err error) error {
	tx.db.counted.Store(query, true)
	return tx.failTogether(err)
}
