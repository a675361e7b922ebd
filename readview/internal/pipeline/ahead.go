package pipeline

import (
	"cmp"
	"encoding/binary"
	"errors"
	"io"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// Look-ups of keys that are declared before their handlers run are fetched together, at the first of them that is made:
//
//	SELECT total FROM entry WHERE n = $1
//	SELECT readview_given.readview_n, readview_found.* FROM unnest($1) WITH ORDINALITY AS readview_given (readview_1, readview_n),
//		LATERAL (SELECT total FROM entry WHERE n = ANY (ARRAY[readview_given.readview_1])) AS readview_found
//
// A query of that text is answered from what was found, as long as nothing in the page may have changed it since:
//
//	what comes                                        what is forgotten
//	a row that goes together with others, or could    the row of its key; those of its table, where that is not all that is unique
//	a SELECT of a key                                 nothing
//	any other statement, a query                      everything: until somebody understands a statement it is in doubt
//
// What is forgotten is asked for as if it had not been declared. When everything was, it is fetched anew, for twice as many
// look-ups as were made between: so what is fetched in vain is never much more than what is used.

// ahead is what a transaction has of declared look-ups.
type ahead struct {
	foreseen []*foreseen
	doubt    bool // the last statement may have changed anything of what was fetched
	recalled int  // answers from that which are being read
}

// foreseen are the declared look-ups of one text.
type foreseen struct {
	query    string
	declared []declared          // in the order of their events
	of       *bulk               // when it was fetched; nil before that
	rows     map[string][][]byte // what was found, by key; nil where nothing is
	lost     bool                // more than single rows were forgotten since
	next     int                 // the first of declared that was not fetched
	made     int                 // look-ups since it was lost
	before   int                 // and before
}

type declared struct {
	event int
	args  []any
}

// fewest is for how many look-ups it is worth while to fetch them together: the settings, there and back, are two statements
// more.
const fewest = 4

// Foresee declares that the handler of an event will make a query. It may, or not: all that depends on it is speed.
func (tx *Tx) Foresee(event int, query string, args []any) {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.options.How != Together {
		return
	}
	f := tx.foreseenOf(query)
	if f == nil {
		f = &foreseen{query: query}
		tx.ahead.foreseen = append(tx.ahead.foreseen, f)
	}
	f.declared = append(f.declared, declared{event, args})
}

func (tx *Tx) foreseenOf(query string) *foreseen {
	for _, f := range tx.ahead.foreseen {
		if f.query == query {
			return f
		}
	}
	return nil
}

// remembers tells whether there is anything to forget.
func (tx *Tx) remembers() bool {
	return slices.ContainsFunc(tx.ahead.foreseen, func(f *foreseen) bool { return len(f.rows) > 0 })
}

// doubts notes that a statement may change anything, unless somebody who understands it says otherwise before the next one.
func (tx *Tx) doubts() {
	if tx.ahead.doubt {
		for _, f := range tx.ahead.foreseen {
			f.forget()
		}
	}
	tx.ahead.doubt = true
}

func (f *foreseen) forget() {
	clear(f.rows)
	f.lost = true
	if f.made > 0 {
		f.before, f.made = f.made, 0
	}
}

// touch forgets what the statement whose arguments are in the builder may change. b is nil if it goes by itself.
func (tx *Tx) touch(t *Turn, k *prepared, b *bulk) error {
	if !tx.remembers() {
		return nil
	}
	if b == nil {
		var err error
		if b, err = tx.understood(t, k); b == nil || err != nil {
			return err
		}
	}
	i := tx.identity(b)
	for _, f := range tx.ahead.foreseen {
		switch {
		case len(f.rows) == 0 || f.of.table.relation != b.table.relation:
		case i.shared && f.of.shared:
			delete(f.rows, string(tx.key))
		default:
			f.forget()
		}
	}
	tx.ahead.doubt = false
	return nil
}

// understood returns how a statement that goes by itself would go together with others, nil if it would not, or if that is not
// worth a look at its table.
func (tx *Tx) understood(t *Turn, k *prepared) (*bulk, error) {
	b := tx.form(k)
	if t.event == NoEvent || b == nil || b.form.verb == selects {
		return nil, nil
	}
	if counted, _ := tx.db.counted.Load(b.query); b.table.looked != tx.pages && (counted == true || b.table.odd()) {
		return nil, nil
	}
	return tx.plain(b)
}

// readable returns what a query of one key is about, with its table looked at; nil if it is something else.
func (tx *Tx) readable(k *prepared) (*bulk, error) {
	b := tx.form(k)
	if tx.options.How != Together || b == nil || b.form.verb != selects || b.table.looked != tx.pages && b.table.odd() {
		return nil, nil
	}
	if counted, _ := tx.db.counted.Load(b.query); counted == true { // it was torn
		return nil, nil
	}
	if err := tx.lookAt(b.table, toRead); err != nil {
		return nil, tx.tear(b.query, err)
	}
	if b.decide(); !b.plain {
		return nil, nil
	}
	return b, nil
}

// recall answers the query whose arguments are in the builder from what was fetched, or is now. A row that is not there is nil.
func (tx *Tx) recall(t *Turn, k *prepared) (row [][]byte, known bool, err error) {
	f := tx.foreseenOf(k.description.SQL)
	if f == nil {
		return nil, false, nil
	}
	f.made++
	if len(f.rows) > 0 && tx.identity(f.of).exact {
		if row, known = f.rows[string(tx.key)]; known {
			return row, true, nil
		}
	}
	worth := f.worth(t.event)
	if len(worth) < fewest {
		return nil, false, nil
	}
	b, err := tx.readable(k)
	if err != nil || b == nil {
		return nil, false, err
	}
	i := tx.identity(b)
	key := slices.Clone(tx.key)
	if err := tx.fetch(t, f, k, worth); err != nil {
		return nil, false, err
	}
	row, known = f.rows[string(key)]
	return row, known && i.exact, nil
}

// unforeseen puts the arguments of a query that has to be asked into the builder again, and tells whether it is understood.
func (tx *Tx) unforeseen(k *prepared, args []any) error {
	if len(tx.ahead.foreseen) == 0 {
		return nil
	}
	if tx.remembers() {
		b, err := tx.readable(k)
		if err != nil {
			return err
		}
		tx.ahead.doubt = tx.ahead.doubt && b == nil
	}
	return tx.build(k, args)
}

// worth returns the look-ups that are worth while to be fetched with that of an event which is not there.
func (f *foreseen) worth(event int) []declared {
	start, _ := slices.BinarySearchFunc(f.declared, event, func(d declared, event int) int { return cmp.Compare(d.event, event) })
	n := len(f.declared) - start
	if f.of != nil { // it is not the first time
		if !f.lost && start < f.next {
			return nil // the page has changed it, or nobody has declared it
		}
		n = min(n, 2*max(f.made, f.before))
	}
	return f.declared[start : start+n]
}

// fetching are the look-ups of one text on their way.
type fetching struct {
	*foreseen
	k      *prepared
	arrays []array
	keys   []string
}

// fetch fetches look-ups of a text, and those of others that are known well, in one round trip.
func (tx *Tx) fetch(t *Turn, f *foreseen, k *prepared, worth []declared) error {
	all, err := tx.gather(nil, f, k, worth)
	if err != nil {
		return err
	}
	for _, other := range tx.ahead.foreseen {
		if k := tx.here.known[other.query]; k != nil && other != f && k.bulk != nil && k.bulk.tried {
			if worth := other.worth(t.event); len(worth) >= fewest && other.of == nil {
				if all, err = tx.gather(all, other, k, worth); err != nil {
					return err
				}
			}
		}
	}
	if len(all) == 0 {
		return nil
	}
	if len(tx.sets) > 0 {
		err = tx.sendUpTo(tx.sets[len(tx.sets)-1])
	}
	if err == nil {
		err = tx.pin(t.event)
	}
	if err != nil {
		return err
	}
	for _, f := range all {
		f.send(tx)
	}
	open := tx.queue.open
	if err := tx.outcomes(t.event, true); err != nil {
		return err
	}
	for _, f := range all {
		if err := f.read(open); err != nil {
			err = errors.Join(err, open.Close())
			return tx.failFetch(t, f.of, err)
		}
	}
	if err := open.Close(); err != nil {
		return tx.failFetch(t, f.of, err)
	}
	return nil
}

// failFetch breaks the transaction, for which a page is applied again without.
func (tx *Tx) failFetch(t *Turn, of *bulk, err error) error {
	s := statement{event: t.event, many: of}
	err = s.done(pgconn.CommandTag{}, err)
	tx.db.torn(s, err)
	tx.fail(t.event, err)
	return tx.failure.err
}

// gather makes arrays of the arguments of look-ups.
func (tx *Tx) gather(to []*fetching, of *foreseen, k *prepared, worth []declared) ([]*fetching, error) {
	b, err := tx.readable(k)
	if err != nil || b == nil {
		return to, err
	}
	if !b.tried {
		b.tried = true
		if _, err := tx.prepareBulk(b); err != nil {
			return to, tx.tear(b.query, err)
		}
	}
	if b.statement.Name == "" {
		return to, nil
	}
	if k.values == nil {
		k.readable(tx.pgx.TypeMap())
	}
	f := &fetching{foreseen: of, k: k, arrays: make([]array, len(b.elements))}
	of.of, of.lost = b, false
	of.next, _ = slices.BinarySearchFunc(of.declared, worth[len(worth)-1].event+1, func(d declared, event int) int { return cmp.Compare(d.event, event) })
	if of.rows == nil {
		of.rows = make(map[string][][]byte, len(worth))
	}
	for _, d := range worth {
		if tx.build(k, d.args) == nil && tx.identity(b).exact {
			f.take(string(tx.key), tx.builder.ParamValues, tx.builder.ParamFormats)
		}
	}
	if len(f.keys) == 0 {
		return to, nil
	}
	return append(to, f), nil
}

// take adds the arguments of a look-up.
func (f *fetching) take(key string, values [][]byte, formats []int16) {
	if _, has := f.rows[key]; has {
		return
	}
	for n := range f.arrays {
		if len(f.keys) == 0 {
			f.arrays[n].start(f.of.elements[n], formats[n])
		} else if !f.arrays[n].takes(formats[n]) {
			return
		}
	}
	for n := range f.arrays {
		f.arrays[n].add(values[n])
	}
	f.keys, f.rows[key] = append(f.keys, key), nil
}

func (f *fetching) send(tx *Tx) {
	values, formats := make([][]byte, len(f.arrays)), make([]int16, len(f.arrays))
	for i := range f.arrays {
		values[i], formats[i] = f.arrays[i].value(len(f.keys))
	}
	tx.start()
	tx.queue.open.SendQueryStatement(&f.of.statement, values, formats, append([]int16{pgtype.BinaryFormatCode}, f.k.formats...))
}

// read reads the rows. Of two for a key, which a unique index does not allow, none is kept.
func (f *fetching) read(open *pgconn.Pipeline) error {
	reader, err := nextReader(open)
	if err != nil {
		return err
	}
	buffer := make([]byte, 0, 1024) // not nil, as an empty value is not NULL
	found := make([]bool, len(f.keys))
	for reader.NextRow() {
		values := reader.Values()
		n := binary.BigEndian.Uint64(values[0]) - 1
		key := f.keys[n]
		if found[n] {
			delete(f.rows, key)
			continue
		}
		found[n] = true
		row := make([][]byte, len(values)-1)
		for i, value := range values[1:] {
			if value != nil {
				begin := len(buffer)
				buffer = append(buffer, value...)
				row[i] = buffer[begin:len(buffer):len(buffer)]
			}
		}
		f.rows[key] = row
	}
	_, err = reader.Close()
	return err
}

// nextReader returns what reads the next answer.
func nextReader(open *pgconn.Pipeline) (*pgconn.ResultReader, error) {
	for {
		outcome, err := open.GetResults()
		switch outcome := outcome.(type) {
		case *pgconn.PipelineSync:
			if err == nil {
				continue
			}
		case *pgconn.ResultReader:
			if err == nil {
				return outcome, nil
			}
		}
		return nil, cmp.Or(err, io.ErrUnexpectedEOF)
	}
}
