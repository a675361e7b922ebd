package pipeline

import (
	_ "embed"
	"errors"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"
)

// facts are what the catalogue tells of a table at one version of it.
type facts struct {
	version string // "" is that of no table

	lasting bool // they are so as long as that is the version
	plain   bool // nobody can tell whether rows go together
	draws   bool // a new row has what depends on the order among the rows of all tables: the next of a sequence, the time
	asks    bool // and a changed row, too
	columns []string
	types   map[string]uint32 // of columns
	uniques []unique
	takes   bool     // nothing refuses a row of values that are valid, but what is unique, and what must not be NULL:
	needed  []string // these columns
}

// unique is an index that rows can violate.
type unique struct {
	columns []string
	whole   bool // it is of these columns as they are, and of all rows
	key     bool // and of whose values we can tell whether they are the same; none is NULL
}

// cataloguedSQL has what the catalogue says of a table itself. It is planned and executed once a table and
// connection, so it joins little.
const cataloguedSQL = `SELECT json_build_object(
		'ordinary', c.relkind = 'r' AND NOT (c.relhasrules OR c.relrowsecurity OR c.relispartition)
			AND NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid), -- relhastriggers is also of a table that had some
		'inherited', c.relhassubclass,
		'columns', (SELECT json_agg(json_build_object('number', attnum, 'name', attname, 'type', atttypid::int8, 'filled', atthasdef, 'generated', attgenerated <> '',
			'identity', attidentity <> '', 'limited', atttypmod <> -1, 'needed', attnotnull, 'long', attlen < 0) ORDER BY attnum)
			FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped),
		'indexes', (SELECT json_agg(json_build_object('columns', i.indkey::int2[], 'keys', i.indnkeyatts, 'unique', i.indisunique, 'excludes', i.indisexclusion,
			'sound', i.indimmediate AND i.indisvalid AND i.indisready, 'whole', i.indexprs IS NULL AND i.indpred IS NULL, 'btree', x.relam = 403,
			'ours', 16384 <= ANY (i.indclass::oid[]), 'loose', EXISTS (SELECT FROM pg_collation l WHERE l.oid = ANY (i.indcollation) AND NOT l.collisdeterministic)))
			FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid WHERE i.indrelid = c.oid),
		'constraints', (SELECT json_agg(contype) FROM pg_constraint WHERE conrelid = c.oid))
	FROM pg_class c WHERE c.oid = to_regclass($1)`

// catalogued is what it returns.
type catalogued struct {
	Ordinary    bool
	Inherited   bool
	Columns     []column
	Indexes     []index
	Constraints []string // the kinds
}

type column struct {
	Number    int16
	Name      string
	Type      uint32
	Filled    bool // by a default, or
	Generated bool
	Identity  bool // by a sequence
	Limited   bool // as varchar(10) is
	Needed    bool // NOT NULL
	Long      bool // of any length: an index may refuse it
}

type index struct {
	Columns  []int16 // 0 is an expression
	Keys     int     // so many of them are not only included
	Unique   bool
	Excludes bool
	Sound    bool
	Whole    bool
	BTree    bool `json:"btree"`
	Ours     bool // compares in a way that is not PostgreSQL's own
	Loose    bool // calls texts the same that differ
}

const firstOfOurs = 16384 // of the oids of what is not PostgreSQL's own

//go:embed plain.sql
var plainSQL string

// find returns what is true of the table of a name, which has the version.
func (tx *Tx) find(name, version string) (*facts, error) {
	if known := tx.db.facts.of(version); known != nil {
		return known, nil
	}
	c := catalogued{}
	if err := tx.pgx.QueryRow(tx.ctx, cataloguedSQL, name).Scan(&c); err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return nil, err
	}
	f := c.facts()
	f.version = version
	if c.computes() {
		var harmless, draws bool
		if err := tx.pgx.QueryRow(tx.ctx, plainSQL, name).Scan(&f.lasting, &harmless, &draws, &f.asks); err != nil {
			return nil, err
		}
		f.plain, f.draws = f.plain && harmless, f.draws || draws
	}
	if f.lasting {
		tx.db.facts.keep(f)
	}
	return f, nil
}

// memory is of the facts that hold as long as a table's version does, for all connections.
type memory struct {
	mu sync.Mutex
	by map[string]*facts // version
}

const maxVersions = 1000 // kept: a table has a new one with each TRUNCATE, too

func (m *memory) of(version string) *facts {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.by[version]
}

func (m *memory) keep(f *facts) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.by == nil || len(m.by) >= maxVersions {
		m.by = map[string]*facts{}
	}
	m.by[f.version] = f
}

// computes tells whether something is computed or compared for a row in a way that has to be looked into.
func (c *catalogued) computes() bool {
	return slices.ContainsFunc(c.Columns, func(c column) bool { return c.Filled || c.Type >= firstOfOurs }) ||
		slices.ContainsFunc(c.Indexes, func(i index) bool { return !i.Whole || i.Ours }) ||
		slices.ContainsFunc(c.Constraints, func(kind string) bool { return kind == "c" || kind == "x" })
}

// facts returns what is true if nothing is computed.
func (c *catalogued) facts() *facts {
	f := &facts{lasting: true, plain: c.Ordinary, types: map[string]uint32{}, takes: true}
	names := map[int16]column{}
	for _, column := range c.Columns {
		names[column.Number] = column
		f.columns, f.types[column.Name] = append(f.columns, column.Name), column.Type
		if column.Needed {
			f.needed = append(f.needed, column.Name)
		}
		f.draws = f.draws || column.Identity
		f.takes = f.takes && !column.Limited && !column.Generated
	}
	for _, kind := range c.Constraints {
		f.takes = f.takes && slices.Contains([]string{"p", "u", "n"}, kind)
	}
	for _, i := range c.Indexes {
		long := slices.ContainsFunc(i.Columns, func(number int16) bool { return names[number].Long })
		f.takes = f.takes && i.Whole && i.BTree && i.Keys == len(i.Columns) && (i.Unique || !long)
		if !i.Unique && !i.Excludes {
			continue
		}
		u := unique{whole: i.Whole, key: i.Unique && i.Whole && i.Sound && !i.Ours && !i.Loose && !c.Inherited}
		for _, number := range i.Columns[:i.Keys] {
			if column, ok := names[number]; ok {
				u.columns = append(u.columns, column.Name)
				u.key = u.key && column.Needed && !column.Limited && slices.Contains(keyTypes, column.Type)
			}
		}
		f.uniques = append(f.uniques, u)
	}
	return f
}

// key returns the key that is made of columns, in any order, nil if there is none.
func (f *facts) key(columns []string) []string {
	for _, u := range f.uniques {
		if u.key && len(columns) == len(u.columns) && !slices.ContainsFunc(u.columns, func(name string) bool { return !slices.Contains(columns, name) }) {
			return u.columns
		}
	}
	return nil
}

// only returns the key that is all that is unique in the table, nil if there is none, or something else.
func (f *facts) only() []string {
	if len(f.uniques) == 1 && f.uniques[0].key {
		return f.uniques[0].columns
	}
	return nil
}

// free tells whether what is unique does not depend on any of the columns.
func (f *facts) free(columns []string) bool {
	return !slices.ContainsFunc(f.uniques, func(u unique) bool {
		return !u.whole || slices.ContainsFunc(columns, func(name string) bool { return slices.Contains(u.columns, name) })
	})
}
