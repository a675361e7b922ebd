package readview_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/internal/testdb"
	"github.com/dancefinder/eventsourcing/readview/internal/shadow"
)

// applied writes the difference between two contents of tables, in a transaction that it takes back. What there was stays.
type applied struct {
	tx     pgx.Tx
	schema string
	tables []string
	set    *shadow.Set
}

func newApplied(t *testing.T, conn pgx.Tx, schema, ddl, live, shadows string, config shadow.Config, tables ...string) *applied {
	t.Helper()
	a := &applied{conn, schema, tables, nil}
	ctx := t.Context()
	must := func(sql string) {
		t.Helper()
		_, err := conn.Exec(ctx, sql)
		require.NoError(t, err, sql)
	}
	must(`CREATE SCHEMA ` + schema + `; SET LOCAL search_path = ` + schema)
	must(ddl)
	must(live)
	must(`SET CONSTRAINTS ALL IMMEDIATE`)
	var err error
	a.set, err = shadow.Describe(ctx, conn, tables, config)
	require.NoError(t, err)
	require.NoError(t, a.set.Appliable(false))
	require.NoError(t, a.set.Clone(ctx, conn, schema+"_shadow", "test", false))
	must(shadows)
	must(`SET CONSTRAINTS ALL IMMEDIATE; SET LOCAL search_path = ` + schema)
	return a
}

// apply returns the rows that were different, and why they can't be written.
func (a *applied) apply(t *testing.T) (rows string, err error) {
	t.Helper()
	changes, err := a.set.Diff(t.Context(), a.tx, a.schema+"_shadow")
	require.NoError(t, err)
	for _, c := range changes {
		rows += fmt.Sprintf("%s +%d ~%d -%d ", c.Table, c.Inserted, c.Updated, c.Deleted)
	}
	return strings.TrimSpace(rows), a.set.Apply(t.Context(), a.tx, a.schema+"_shadow", true)
}

// content has the rows of tables in a schema.
func content(t *testing.T, tx pgx.Tx, schema string, tables ...string) (all []string) {
	t.Helper()
	for _, table := range tables {
		rows, err := tx.Query(t.Context(), `SELECT $1::text || x::text FROM `+schema+`.`+table+` x ORDER BY 1`, table)
		require.NoError(t, err)
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		all = append(all, lines...)
	}
	return all
}

const (
	families = `CREATE TABLE parent (account TEXT PRIMARY KEY, rank INT UNIQUE, n INT NOT NULL DEFAULT 0);
		CREATE TABLE child (id TEXT PRIMARY KEY, account TEXT %s REFERENCES parent %s);`
	family  = `INSERT INTO parent VALUES ('a', 1), ('b', 2), ('c', 3); INSERT INTO child VALUES ('t1', 'a'), ('t2', 'a'), ('t3', 'b');`
	swapped = `UPDATE parent SET rank = rank + 10; UPDATE parent SET rank = CASE rank WHEN 11 THEN 2 WHEN 12 THEN 1 ELSE rank - 10 END`
	visits  = `CREATE TABLE visitor (no BIGSERIAL PRIMARY KEY, account TEXT NOT NULL UNIQUE);
		CREATE TABLE visit (id TEXT PRIMARY KEY, visitor BIGINT NOT NULL REFERENCES visitor %s);`
	visited = `INSERT INTO visitor (account) VALUES ('a'), ('b'), ('c'); INSERT INTO visit VALUES ('v1', 1), ('v2', 2), ('v3', 2);`
	places  = `CREATE TABLE city (no BIGSERIAL PRIMARY KEY, name TEXT NOT NULL UNIQUE);
		CREATE TABLE street (no BIGSERIAL PRIMARY KEY, city BIGINT NOT NULL REFERENCES city %[1]s, name TEXT NOT NULL, UNIQUE (city, name));
		CREATE TABLE house (id TEXT PRIMARY KEY, street BIGINT NOT NULL REFERENCES street %[1]s);`
	placed = `INSERT INTO city (name) VALUES ('x'), ('y'); INSERT INTO street (city, name) VALUES (1, 's'), (2, 's'), (2, 't'); INSERT INTO house VALUES ('h1', 1), ('h2', 2), ('h3', 3), ('h4', 3);`
)

// Live tables get the content of the shadows whatever keys rows of theirs have to each other, and no row of another table changes.
func TestApplyOfTablesWithKeys(t *testing.T) {
	t.Parallel()
	cascades, sets, restricts := "ON DELETE CASCADE", "ON DELETE SET NULL", "ON DELETE RESTRICT ON UPDATE RESTRICT"
	ab, vv, csh := []string{"parent", "child"}, []string{"visit", "visitor"}, []string{"house", "city", "street"}
	newFamily := `INSERT INTO parent VALUES ('a', 1), ('B', 2), ('C', 3); INSERT INTO child VALUES ('t1', 'a'), ('t2', 'B'), ('t3', 'B');`
	exchanged := `UPDATE visitor SET account = 'x' WHERE no = 1; UPDATE visitor SET account = 'a' WHERE no = 2; UPDATE visitor SET account = 'b' WHERE no = 1;`
	notes := `CREATE TABLE note (id INT, pa TEXT REFERENCES parent %s); `
	cases := []struct {
		name, ddl string
		tables    []string
		live      string // besides what the shadow has
		shadow    string
		rows      string // that differ
		refused   string
	}{
		{"a row refers to an extra one, with a cascade", fmt.Sprintf(families, "", cascades), ab,
			family + `INSERT INTO parent VALUES ('x', 9); UPDATE child SET account = 'x' WHERE id = 't1'`, family, "parent +0 ~0 -1 child +0 ~1 -0", ""},
		{"a row refers to an extra one, which would be set to NULL where that can't be", fmt.Sprintf(families, "NOT NULL", sets), ab,
			family + `INSERT INTO parent VALUES ('x', 9); UPDATE child SET account = 'x' WHERE id = 't1'`, family, "parent +0 ~0 -1 child +0 ~1 -0", ""},
		{"other names, with a cascade", fmt.Sprintf(families, "", cascades), ab, family, newFamily, "parent +2 ~0 -2 child +0 ~2 -0", ""},
		{"other names, which are restricted", fmt.Sprintf(families, "", restricts), ab, family, newFamily, "parent +2 ~0 -2 child +0 ~2 -0", ""},
		{"unique values change places above a cascade", fmt.Sprintf(families, "", cascades), ab,
			family + `` + swapped + `; UPDATE parent SET n = 7`, family, "parent +0 ~3 -0 child +0 ~0 -0", ""},
		{"numbers are exchanged", fmt.Sprintf(visits, ""), vv, visited + exchanged, visited, "visit +0 ~0 -0 visitor +0 ~2 -0", ""},
		{"numbers are exchanged, with a cascade", fmt.Sprintf(visits, cascades), vv, visited + exchanged, visited, "visit +0 ~0 -0 visitor +0 ~2 -0", ""},
		{"numbers are exchanged, and the key can wait", fmt.Sprintf(visits, "DEFERRABLE"), vv, visited + exchanged, visited, "visit +0 ~0 -0 visitor +0 ~2 -0", ""},
		{"a number's row has another name", fmt.Sprintf(visits, restricts), vv, visited + `UPDATE visitor SET account = 'x' WHERE no = 2`, visited, "visit +0 ~0 -0 visitor +1 ~0 -1", ""},
		{"three levels of numbers", fmt.Sprintf(places, ""), csh, placed + `UPDATE city SET name = 'z' WHERE no = 2`, placed, "house +0 ~0 -0 city +1 ~0 -1 street +0 ~0 -0", ""},
		{"three levels of numbers with cascades", fmt.Sprintf(places, cascades), csh, placed + `UPDATE city SET name = 'z' WHERE no = 2`, placed, "house +0 ~0 -0 city +1 ~0 -1 street +0 ~0 -0", ""},
		{"identities that can't be updated", strings.ReplaceAll(fmt.Sprintf(visits, ""), "BIGSERIAL", "BIGINT GENERATED ALWAYS AS IDENTITY"), vv,
			visited + exchanged, visited, "visit +0 ~0 -0 visitor +0 ~2 -0", ""},
		{"values of expressions change places", fmt.Sprintf(families, "", "") + `ALTER TABLE parent ADD name TEXT; CREATE UNIQUE INDEX ON parent (lower(name)) WHERE n = 0`, ab,
			family + `UPDATE parent SET name = CASE account WHEN 'a' THEN 'x' WHEN 'b' THEN 'y' END`, family + `UPDATE parent SET name = CASE account WHEN 'a' THEN 'Y' WHEN 'b' THEN 'X' END`, "parent +0 ~2 -0 child +0 ~0 -0", ""},
		{"a circle", fmt.Sprintf(families, "", restricts) + `ALTER TABLE parent ADD first TEXT REFERENCES child`, ab,
			family + `UPDATE parent SET first = 't3'; ` + swapped + `; INSERT INTO child VALUES ('t9', 'c'); UPDATE parent SET first = 't9' WHERE account = 'a'`,
			family + `UPDATE parent SET first = 't1'`, "parent +0 ~3 -0 child +0 ~0 -1", ""},
		{"a row of another table follows its parent's new key", fmt.Sprintf(visits, "") + `CREATE TABLE tag (id INT, visitor BIGINT REFERENCES visitor ON UPDATE CASCADE)`, vv,
			`INSERT INTO visitor (account) VALUES ('x'), ('a'); DELETE FROM visitor WHERE account = 'x'; INSERT INTO tag VALUES (1, 2)`, `INSERT INTO visitor (account) VALUES ('a')`, "visit +0 ~0 -0 visitor +0 ~1 -0", ""},
		{"a row of another table is beside those that move", fmt.Sprintf(families, "", "") + fmt.Sprintf(notes, cascades), ab,
			family + `INSERT INTO note VALUES (1, 'c'); ` + swapped + `; UPDATE parent SET n = 7`, family, "parent +0 ~3 -0 child +0 ~0 -0", ""},
		{"a key of another table that can wait", fmt.Sprintf(families, "", "") + fmt.Sprintf(notes, "DEFERRABLE"), ab,
			family + `INSERT INTO note VALUES (1, 'a'); ` + swapped, family, "parent +0 ~2 -0 child +0 ~0 -0", ""},

		{"a cascade would delete a row of another table", fmt.Sprintf(families, "", "") + fmt.Sprintf(notes, cascades), ab,
			family + `INSERT INTO parent VALUES ('x', 9); INSERT INTO note VALUES (1, 'x'), (2, 'x'), (3, 'a')`, family, "parent +0 ~0 -1 child +0 ~0 -0",
			"by the foreign key note_pa_fkey, 2 of the rows of note refer to rows of parent that would have to be deleted, or get another key, the first to (account)=(x), and rows of other tables are left alone: delete them"},
		{"a row of another table would be set to NULL", fmt.Sprintf(families, "", "") + fmt.Sprintf(notes, sets), ab,
			family + `INSERT INTO parent VALUES ('x', 9); INSERT INTO note VALUES (1, 'x')`, family, "parent +0 ~0 -1 child +0 ~0 -0", "note_pa_fkey, 1 of the rows of note"},
		{"an update would set one to NULL", fmt.Sprintf(families, "", "") + `CREATE TABLE note (id INT, pa INT REFERENCES parent (rank) ON UPDATE SET NULL)`, ab,
			family + `UPDATE parent SET rank = 9 WHERE rank = 1; INSERT INTO note VALUES (1, 9)`, family, "parent +0 ~1 -0 child +0 ~0 -0", "(rank)=(9)"},
		{"a row of another table keeps one that is extra", fmt.Sprintf(families, "", "") + fmt.Sprintf(notes, ""), ab,
			family + `INSERT INTO parent VALUES ('x', 9); INSERT INTO note VALUES (1, 'x')`, family, "parent +0 ~0 -1 child +0 ~0 -0", "note_pa_fkey, 1 of the rows of note"},
		{"a cascade would delete a row of another table, as what it refers to moves", fmt.Sprintf(families, "", "") + fmt.Sprintf(notes, cascades), ab,
			family + `INSERT INTO note VALUES (1, 'a'); ` + swapped, family, "parent +0 ~2 -0 child +0 ~0 -0",
			`be deleted and inserted again, the first to (account)=(a), and rows of other tables are left alone`},
	}
	db := testdb.New(t, testdb.MaxConns(1))
	tx, err := db.Pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) { // on the one connection
			inner, err := tx.Begin(t.Context())
			require.NoError(t, err)
			defer func() { require.NoError(t, inner.Rollback(t.Context())) }()
			schema := fmt.Sprintf("%s_%d", db.Schema, i)
			a := newApplied(t, inner, schema, c.ddl, c.live, c.shadow, shadow.Config{}, c.tables...)
			others := func() []string {
				if !strings.Contains(c.ddl, "CREATE TABLE note (id") {
					return nil
				}
				return content(t, inner, schema, "note")
			}
			before, beside := content(t, inner, schema, c.tables...), others()
			try, err := inner.Begin(t.Context())
			require.NoError(t, err)
			rows, err := a.apply(t)
			require.Equal(t, c.rows, rows)
			if c.refused != "" {
				require.ErrorIs(t, err, shadow.ErrImpossible)
				require.ErrorContains(t, err, c.refused)
				require.NoError(t, try.Rollback(t.Context()))
				require.Equal(t, before, content(t, inner, schema, c.tables...))
			} else {
				require.NoError(t, err)
				require.Equal(t, content(t, inner, schema+"_shadow", c.tables...), content(t, inner, schema, c.tables...))
			}
			require.Equal(t, beside, others())
			if strings.Contains(c.ddl, "CREATE TABLE tag") {
				require.Equal(t, []string{"tag(1,1)"}, content(t, inner, schema, "tag"))
			}
		})
	}
}

// Columns that are left out are kept by rows that have to be deleted and inserted again.
func TestApplyKeepsWhatIsLeftOut(t *testing.T) {
	t.Parallel()
	db := testdb.New(t, testdb.MaxConns(1))
	tx, err := db.Pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	ddl := strings.ReplaceAll(fmt.Sprintf(visits, "")+`ALTER TABLE visit ADD loaded INT DEFAULT 1; ALTER TABLE visitor ADD loaded INT DEFAULT 1`, "BIGSERIAL", "BIGINT")
	a := newApplied(t, tx, db.Schema+"_left", ddl, `INSERT INTO visitor VALUES (2, 'a', 7), (1, 'b', 8); INSERT INTO visit VALUES ('v1', 1, 9)`,
		`INSERT INTO visitor VALUES (1, 'a'), (2, 'b'), (3, 'c'); INSERT INTO visit VALUES ('v1', 1)`, shadow.Config{LeftOut: []string{"visitor.loaded", "visit.loaded"}}, "visit", "visitor")
	rows, err := a.apply(t)
	require.NoError(t, err)
	require.Equal(t, "visit +0 ~0 -0 visitor +1 ~2 -0", rows)
	require.Equal(t, []string{"visit(v1,1,9)", "visitor(1,a,8)", "visitor(2,b,7)", "visitor(3,c,1)"}, content(t, tx, db.Schema+"_left", "visit", "visitor"))
}

// Any content becomes any other one: of tables that refer to each other in a circle and to themselves, by numbers and by names, with
// unique values and any rule for what is deleted.
func TestApplyOfAnyContent(t *testing.T) {
	t.Parallel()
	db := testdb.New(t, testdb.MaxConns(1))
	tx, err := db.Pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	for seed := range uint64(25) {
		random := rand.New(rand.NewPCG(seed, 1))
		action := func() string {
			rules := []string{"NO ACTION", "RESTRICT", "CASCADE", "SET NULL", "SET DEFAULT"}
			waits := []string{"", "", "DEFERRABLE", "DEFERRABLE INITIALLY DEFERRED"}
			return ` ON DELETE ` + rules[random.IntN(5)] + ` ON UPDATE ` + rules[random.IntN(5)] + ` ` + waits[random.IntN(4)]
		}
		ddl := `CREATE TABLE team (id BIGSERIAL PRIMARY KEY, name TEXT NOT NULL UNIQUE, lead TEXT);
			CREATE TABLE person (no BIGSERIAL PRIMARY KEY, name TEXT NOT NULL UNIQUE, team BIGINT NOT NULL REFERENCES team` + action() + `, boss BIGINT REFERENCES person` + action() + `, rank INT UNIQUE, n INT);
			ALTER TABLE team ADD FOREIGN KEY (lead) REFERENCES person (name)` + action()
		fill := func() (sql string) {
			teams, people := 1+random.IntN(4), random.IntN(7)
			numbers, names, ranks := random.Perm(8), random.Perm(8), random.Perm(8)
			for i := range teams {
				sql += fmt.Sprintf(`INSERT INTO team VALUES (%d, 't%d'); `, numbers[i], names[i])
			}
			teamIDs := numbers[:teams]
			numbers, names = random.Perm(8), random.Perm(8)
			for i := range people {
				sql += fmt.Sprintf(`INSERT INTO person VALUES (%d, 'p%d', %d, NULL, %d, %d); `, numbers[i], names[i], teamIDs[random.IntN(teams)], ranks[i], random.IntN(3))
			}
			for i := range people {
				if random.IntN(3) > 0 {
					sql += fmt.Sprintf(`UPDATE person SET boss = %d WHERE no = %d; UPDATE team SET lead = 'p%d' WHERE id = %d; `, numbers[random.IntN(people)], numbers[i], names[random.IntN(people)], teamIDs[random.IntN(teams)])
				}
			}
			return sql
		}
		live, shadows := fill(), fill()
		inner, err := tx.Begin(t.Context())
		require.NoError(t, err)
		schema := fmt.Sprintf("%s_%d", db.Schema, seed)
		a := newApplied(t, inner, schema, ddl, live, shadows, shadow.Config{}, "team", "person")
		_, err = a.apply(t)
		require.NoError(t, err, "seed %d: %s\nlive: %s\nshadow: %s", seed, ddl, live, shadows)
		require.Equal(t, content(t, inner, schema+"_shadow", "team", "person"), content(t, inner, schema, "team", "person"))
		require.NoError(t, inner.Rollback(t.Context()))
	}
}
