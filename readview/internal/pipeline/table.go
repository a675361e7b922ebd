package pipeline

import (
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// table is what a connection knows of a table, by the name that it has in statements.
type table struct {
	name     string
	now      string // its version when it was looked at
	looked   int64  // with the lock of that page
	lock     string // which it was
	page     int64  // found out, or found unchanged, in that page
	relation uint32 // the table's oid, with which the version begins
	*facts          // as they were at a version
}

// versionSQL tells the version of all that the catalogue has of a table itself.
const versionSQL = `SELECT concat_ws(' ', c.oid, c.xmin, c.ctid,
		(SELECT string_agg(a.xmin::text || a.ctid, ' ') FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0),
		(SELECT string_agg(d.xmin::text || d.ctid, ' ') FROM pg_attrdef d WHERE d.adrelid = c.oid),
		(SELECT string_agg(n.xmin::text || n.ctid, ' ') FROM pg_constraint n WHERE n.conrelid = c.oid),
		(SELECT string_agg(i.xmin::text || i.ctid, ' ') FROM pg_index i WHERE i.indrelid = c.oid),
		(SELECT string_agg(t.xmin::text || t.ctid, ' ') FROM pg_trigger t WHERE t.tgrelid = c.oid))
	FROM pg_class c WHERE c.oid = to_regclass($1)`

// maxRecent bounds the tables that are looked at with the page's lock.
const maxRecent = maxSets

// table returns what is known of a table in the transaction's search path.
func (s *session) table(name string) *table {
	t := s.here.tables[name]
	if t == nil {
		t = &table{name: name, facts: &facts{}}
		s.here.tables[name] = t
	}
	return t
}

// Locks that a table is looked at with, which its statements take besides. That for reading keeps its keys and columns as they
// are, the other one keeps triggers and the like away, too.
const (
	toRead  = "ACCESS SHARE"
	toWrite = "ROW EXCLUSIVE"
)

// look adds to a batch what tells whether the table is as it was. Its lock keeps others
// from changing that to the end of the transaction.
func (t *table) look(batch *pgx.Batch, lock string) {
	t.now, t.lock = "", lock
	batch.Queue("LOCK TABLE ONLY " + t.name + " IN " + lock + " MODE")
	batch.Queue(versionSQL, t.name).QueryRow(func(row pgx.Row) error { return row.Scan(&t.now) })
}

// seen tells whether a table was found out about in this page, with a lock.
func (tx *Tx) seen(t *table, lock string) bool {
	return t.page == tx.pages && (lock == toRead || t.lock == toWrite)
}

// odd tells whether, as far as is known, somebody can tell of its rows whether they go together.
func (t *table) odd() bool { return t.version != "" && !t.plain }

// lookAt finds out about a table, as of this page. What the page before has used was
// looked at with the page's lock.
func (tx *Tx) lookAt(t *table, lock string) error {
	if tx.seen(t, lock) {
		return nil
	}
	if t.looked != tx.pages || lock == toWrite && t.lock != toWrite {
		if err := tx.flush(); err != nil {
			return err
		}
		batch := &pgx.Batch{}
		t.look(batch, lock)
		if err := tx.pgx.SendBatch(tx.ctx, batch).Close(); err != nil {
			return err
		}
		t.looked = tx.pages
	}
	if !t.lasting || t.version != t.now {
		if err := tx.flush(); err != nil {
			return err
		}
		found, err := tx.find(t.name, t.now)
		if err != nil {
			return err
		}
		t.facts = found
	}
	oid, _, _ := strings.Cut(t.version, " ")
	relation, err := strconv.ParseUint(oid, 10, 32)
	if err != nil {
		return err
	}
	t.relation, t.page = uint32(relation), tx.pages
	if t.plain && len(tx.recent) < maxRecent && !slices.Contains(tx.recent, t) {
		tx.recent = append(tx.recent, t)
	}
	return nil
}
