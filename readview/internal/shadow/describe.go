package shadow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Conn is a connection, or a transaction on one.
type Conn interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// Config is what the server can't know about tables.
type Config struct {
	// Triggers are the names of those which write nothing but the row that they are called for, or other tables of
	// the set. Others are refused.
	Triggers []string

	// LeftOut are columns, as "table.column", whose values differ each time that they are written. They make no
	// difference between two rows.
	LeftOut []string

	// Numbers leaves out what is filled by sequences, too, as a replay gives other numbers, and what follows such a column.
	Numbers bool
}

// Set is the tables of one owner, as they were when they were described.
type Set struct {
	Tables   []*Table
	live     string // the search path, as a setting
	foreign  []key  // from elsewhere
	keys     []key  // from one to another
	triggers bool   // there are some
	sampled  bool   // see Sample
}

// Table is one of them.
type Table struct {
	Name    string
	Schema  string // the live one's
	Columns []Column
	Key     []string // columns that tell rows apart, of a unique constraint; nil if there are none
	Mine    bool     // the current role has the owner's rights

	oid      uint32
	drawn    []string // columns of a key that is none, as a sequence fills them
	follows  bool     // the key has a column that follows another one: the same rows may have other keys after a replay
	triggers bool
	always   bool // an identity that can't be updated makes a difference
	through  []through
	refused  []error
}

// Column is one of a table.
type Column struct {
	Name      string
	Generated bool
	Always    bool // GENERATED ALWAYS AS IDENTITY
	Drawn     bool // from a sequence of its own, which has been used: a replay gives other numbers
	Numbered  bool // that, or it follows such a column
	LeftOut   bool // makes no difference
	Default   bool
	Why       string // it is no function of the events; "" if it is one

	of      []string // columns from which it is computed
	refers  bool     // that is why
	through bool     // what it refers to is compared
	keyed   bool     // a unique, exclusion or foreign key constraint looks at it, or it can't be updated
}

// key is a foreign key.
type key struct {
	name, from, to     string // to is one of the set
	onDelete, onUpdate string // pg_constraint.confdeltype, confupdtype
	deferrable         bool
	columns, refers    []string // of from, and those of to that they refer to, in the same order
}

// Describe looks at tables, by their names in the search path. The error wraps [ErrImpossible] and names
// everything that keeps them from having a shadow.
func Describe(ctx context.Context, conn Conn, tables []string, config Config) (*Set, error) {
	s := &Set{}
	if err := conn.QueryRow(ctx, `SELECT current_setting('search_path')`).Scan(&s.live); err != nil {
		return nil, err
	}
	var problems []error
	var creates bool
	if err := conn.QueryRow(ctx, `SELECT has_database_privilege(current_database(), 'CREATE')`).Scan(&creates); err != nil {
		return nil, err
	}
	if !creates {
		problems = append(problems, errors.New("the role may not make schemas in this database: GRANT CREATE ON DATABASE"))
	}
	for _, name := range tables {
		t, err := describe(ctx, conn, name, config)
		if err != nil {
			return nil, err
		}
		problems = append(problems, t.refused...)
		s.triggers = s.triggers || t.triggers
		s.Tables = append(s.Tables, t)
	}
	for _, column := range config.LeftOut {
		if !s.has(column) {
			problems = append(problems, fmt.Errorf("%q is to be left out, and is no column of the tables: write table.column", column))
		}
	}
	if len(problems) > 0 {
		return nil, fmt.Errorf("%w: %w", ErrImpossible, errors.Join(problems...))
	}
	if err := s.references(ctx, conn); err != nil {
		return nil, err
	}
	s.follow(config)
	for _, t := range s.Tables {
		if err := t.key(ctx, conn); err != nil {
			return nil, err
		}
	}
	s.throughKeys()
	return s, nil
}

// follow marks the columns that are computed from others, or refer to them, which are no function of the events: then neither are they.
func (s *Set) follow(config Config) {
	mark := func(c *Column, of *Column, how string) (marked bool) {
		if of.Why == "" {
			return false
		}
		marked = c.Why == "" || of.Numbered && !c.Numbered
		if c.Why == "" {
			c.Why = how
		}
		c.Numbered = c.Numbered || of.Numbered
		return marked
	}
	for again := true; again; {
		again = false
		for _, t := range s.Tables {
			for i := range t.Columns {
				c := &t.Columns[i]
				for _, name := range c.of {
					of := t.column(name)
					again = mark(c, of, "it is computed from "+name) || again
					c.LeftOut = c.LeftOut || of.LeftOut // it can't be written
				}
			}
		}
		for _, k := range s.keys {
			for i, name := range k.refers {
				c := s.byName(k.from).column(k.columns[i])
				before := c.Why
				again = mark(c, s.byName(k.to).column(name), "it refers to "+k.to+"."+name) || again
				c.refers = c.refers || before != c.Why
			}
		}
	}
	for _, t := range s.Tables {
		for i := range t.Columns {
			c := &t.Columns[i]
			c.LeftOut = c.LeftOut || config.Numbers && c.Why != ""
			t.always = t.always || c.Always && !c.LeftOut
			c.keyed = c.keyed || c.Always
		}
	}
}

func (s *Set) has(column string) bool {
	return slices.ContainsFunc(s.Tables, func(t *Table) bool {
		return slices.ContainsFunc(t.Columns, func(c Column) bool { return t.Name+"."+c.Name == column })
	})
}

const tableSQL = `SELECT c.oid, n.nspname, c.relkind::text, c.relispartition, c.reloftype <> 0, c.relpersistence = 't', pg_has_role(c.relowner, 'USAGE'),
	EXISTS (SELECT FROM pg_inherits WHERE inhrelid = c.oid OR inhparent = c.oid),
	row_security_active(c.oid),
	ARRAY(SELECT rulename::text FROM pg_rewrite WHERE ev_class = c.oid AND rulename <> '_RETURN' ORDER BY 1),
	ARRAY(SELECT tgname::text FROM pg_trigger WHERE tgrelid = c.oid AND NOT tgisinternal AND tgenabled <> 'D' ORDER BY 1)
	FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass($1)`

var kinds = map[string]string{"v": "a view", "m": "a materialized view", "p": "a partitioned table", "f": "a foreign table", "S": "a sequence"}

func describe(ctx context.Context, conn Conn, name string, config Config) (*Table, error) {
	t := &Table{Name: name}
	var (
		kind                                           string
		partition, typed, temporary, inherits, secured bool
		rules, triggers                                []string
	)
	err := conn.QueryRow(ctx, tableSQL, quote(name)).Scan(&t.oid, &t.Schema, &kind, &partition, &typed, &temporary, &t.Mine, &inherits, &secured, &rules, &triggers)
	refuse := func(when bool, format string, args ...any) {
		if when {
			t.refused = append(t.refused, fmt.Errorf("table %s "+format, append([]any{name}, args...)...))
		}
	}
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		refuse(true, "does not exist")
		return t, nil
	case err != nil:
		return nil, err
	case kind != "r":
		refuse(true, "is %s", kinds[kind])
		return t, nil
	}
	refuse(partition, "is a partition")
	refuse(inherits && !partition, "inherits from another, or another from it")
	refuse(typed, "is of a type (CREATE TABLE OF)")
	refuse(temporary, "is temporary")
	refuse(secured, "has row security that hides rows from this role: run it as the owner, if that is not FORCED, or as a role with BYPASSRLS")
	for _, rule := range rules {
		refuse(true, "has a rule, %s, which rewrites what is written", rule)
	}
	t.triggers = len(triggers) > 0
	for _, trigger := range triggers {
		refuse(!slices.Contains(config.Triggers, trigger), "has a trigger, %s: if that writes nothing but its own row, or other tables of the projection, declare it in Triggers", trigger)
	}
	return t, t.columns(ctx, conn, config, refuse)
}

// columnsSQL has, of each column, the sequence that fills it and whether that is its own, the columns from which it is computed, and whether
// what rows have to agree about looks at it, an expression of it or where it holds.
const columnsSQL = `SELECT a.attname::text, a.attgenerated <> '', a.attidentity = 'a', a.atthasdef OR a.attidentity <> '',
	coalesce((SELECT bool_or(pg_sequence_last_value(o.objid) IS NOT NULL) FROM pg_depend o JOIN pg_class s ON s.oid = o.objid AND s.relkind = 'S'
		WHERE o.classid = 'pg_class'::regclass AND o.refclassid = 'pg_class'::regclass AND o.refobjid = a.attrelid AND o.refobjsubid = a.attnum AND o.deptype IN ('a', 'i')), false),
	coalesce((SELECT string_agg(d.refobjid::regclass::text, ', ') FROM pg_attrdef f JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid AND d.refclassid = 'pg_class'::regclass
		JOIN pg_class s ON s.oid = d.refobjid AND s.relkind = 'S'
		WHERE f.adrelid = a.attrelid AND f.adnum = a.attnum
			AND NOT EXISTS (SELECT FROM pg_depend o WHERE o.classid = 'pg_class'::regclass AND o.objid = s.oid AND o.refclassid = 'pg_class'::regclass AND o.refobjid = a.attrelid AND o.deptype IN ('a', 'i'))), ''),
	ARRAY(SELECT DISTINCT r.attname::text FROM pg_depend d JOIN pg_attribute r ON r.attrelid = d.refobjid AND r.attnum = d.refobjsubid
		WHERE a.attgenerated <> '' AND d.refclassid = 'pg_class'::regclass AND d.refobjid = a.attrelid AND d.refobjsubid NOT IN (0, a.attnum)
			AND (d.classid = 'pg_class'::regclass AND d.objid = a.attrelid AND d.objsubid = a.attnum -- of servers before 15
				OR d.classid = 'pg_attrdef'::regclass AND d.objid = (SELECT oid FROM pg_attrdef WHERE adrelid = a.attrelid AND adnum = a.attnum))),
	EXISTS (SELECT FROM pg_depend d LEFT JOIN pg_index i ON d.classid = 'pg_class'::regclass AND i.indexrelid = d.objid LEFT JOIN pg_constraint k ON d.classid = 'pg_constraint'::regclass AND k.oid = d.objid
		WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum AND (i.indisunique OR i.indisexclusion OR k.contype IN ('p', 'u', 'x', 'f')))
	FROM pg_attribute a WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`

func (t *Table) columns(ctx context.Context, conn Conn, config Config, refuse func(when bool, format string, args ...any)) error {
	rows, err := conn.Query(ctx, columnsSQL, t.oid)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var c Column
		var shared string
		if err := rows.Scan(&c.Name, &c.Generated, &c.Always, &c.Default, &c.Drawn, &shared, &c.of, &c.keyed); err != nil {
			return err
		}
		c.Numbered = c.Drawn
		switch c.LeftOut = slices.Contains(config.LeftOut, t.Name+"."+c.Name); {
		case c.LeftOut:
			c.Why = "declared in NotFromLog"
		case c.Drawn:
			c.Why = "a sequence fills it"
		}
		refuse(shared != "", "has a column, %s, whose default draws from a sequence that is not its own, %s: ALTER SEQUENCE %[3]s OWNED BY %[1]s.%[2]s", c.Name, shared)
		t.Columns = append(t.Columns, c)
	}
	return rows.Err()
}

// key finds the columns that tell rows apart: of the primary key, or of another unique constraint without NULL. What a
// sequence fills is none: a replay gives other numbers. What follows such a column is the last choice.
func (t *Table) key(ctx context.Context, conn Conn) error {
	rows, err := conn.Query(ctx, `SELECT ARRAY(SELECT a.attname::text FROM generate_series(0, i.indnkeyatts - 1) AS n JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[n] ORDER BY n)
		FROM pg_index i WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
			AND NOT EXISTS (SELECT FROM generate_series(0, i.indnkeyatts - 1) AS n JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[n] WHERE NOT a.attnotnull)
		ORDER BY i.indisprimary DESC, i.indexrelid`, t.oid)
	if err != nil {
		return err
	}
	candidates, err := pgx.CollectRows(rows, pgx.RowTo[[]string])
	if err != nil {
		return err
	}
	for _, columns := range candidates {
		has := func(which func(*Column) bool) bool {
			return slices.ContainsFunc(columns, func(name string) bool { return which(t.column(name)) })
		}
		switch {
		case !has(func(c *Column) bool { return c.Why != "" }):
			t.Key, t.follows = columns, false
			return nil
		case t.Key == nil && !has(func(c *Column) bool { return c.Drawn || c.LeftOut }):
			t.Key, t.follows = columns, true
		case t.drawn == nil:
			t.drawn = columns
		}
	}
	return nil
}

// references finds the foreign keys to the tables.
func (s *Set) references(ctx context.Context, conn Conn) error {
	rows, err := conn.Query(ctx, `SELECT c.conname::text, c.conrelid::regclass::text, c.conrelid, c.confrelid, c.confdeltype::text, c.confupdtype::text, c.condeferrable,
			ARRAY(SELECT attname::text FROM unnest(c.conkey) WITH ORDINALITY AS k(n, i) JOIN pg_attribute ON attrelid = c.conrelid AND attnum = k.n ORDER BY i),
			ARRAY(SELECT attname::text FROM unnest(c.confkey) WITH ORDINALITY AS k(n, i) JOIN pg_attribute ON attrelid = c.confrelid AND attnum = k.n ORDER BY i)
		FROM pg_constraint c WHERE c.contype = 'f' AND c.conparentid = 0 AND c.confrelid = ANY($1) ORDER BY c.oid`, s.oids())
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var k key
		var from, to uint32
		if err := rows.Scan(&k.name, &k.from, &from, &to, &k.onDelete, &k.onUpdate, &k.deferrable, &k.columns, &k.refers); err != nil {
			return err
		}
		k.to = s.byOID(to).Name
		if t := s.byOID(from); t != nil {
			k.from = t.Name
			s.keys = append(s.keys, k)
		} else {
			s.foreign = append(s.foreign, k)
		}
	}
	return rows.Err()
}

func (s *Set) oids() (all []uint32) {
	for _, t := range s.Tables {
		all = append(all, t.oid)
	}
	return all
}

func (s *Set) byOID(oid uint32) *Table {
	if i := slices.IndexFunc(s.Tables, func(t *Table) bool { return t.oid == oid }); i >= 0 {
		return s.Tables[i]
	}
	return nil
}

// Path is the search path of what is to go to the shadows in a schema. Unnamed, the temporary tables come first.
func (s *Set) Path(schema string) string {
	return quote(schema) + ", " + strings.Join(append(slices.DeleteFunc([]string{s.live}, func(p string) bool { return p == "" || p == `""` }), "pg_temp"), ", ")
}

func quote(names ...string) string { return pgx.Identifier(names).Sanitize() }
