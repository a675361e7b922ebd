package shadow

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// When a shadow gets a part of its definition.
const (
	withTable = iota
	beforeReplay
	afterReplay
	withOthers
	inPlace     // only if it takes the place of the table
	withIndexes // the same, about the indexes that are made after the replay
)

//go:embed definition.sql
var definitionSQL string

// part is one of a table's definition.
type part struct {
	stage                       int
	kind, name, text, statement string
}

// definitions returns that of every table, printed with a search path.
func (s *Set) definitions(ctx context.Context, conn Conn, path string, oids []uint32) ([][]part, error) {
	if err := setPath(ctx, conn, path); err != nil {
		return nil, err
	}
	rows, err := conn.Query(ctx, definitionSQL, oids)
	if err != nil {
		return nil, err
	}
	all := make([][]part, len(oids))
	var number int
	var p part
	_, err = pgx.ForEachRow(rows, []any{&number, &p.stage, &p.kind, &p.name, &p.text, &p.statement}, func() error {
		all[number-1] = append(all[number-1], p)
		return nil
	})
	return all, err
}

// setPath sets the search path to the end of the transaction. It is a round trip of its own: what follows is described
// by the server under the path of that moment.
func setPath(ctx context.Context, conn Conn, path string) error {
	_, err := conn.Exec(ctx, `SELECT set_config('search_path', $1, true)`, path)
	return err
}

// Fingerprint returns a name for the definition of the live tables as far as a shadow has it, another one for each.
// It runs in a transaction.
func (s *Set) Fingerprint(ctx context.Context, conn Conn) (string, error) {
	all, err := s.definitions(ctx, conn, s.live, s.oids())
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	for i, parts := range all {
		_, _ = fmt.Fprintf(sum, "%q\n", s.Tables[i].Name)
		for _, p := range parts {
			if p.stage == inPlace || p.stage == withIndexes {
				continue // such as grants, of which no row depends: [Set.Check] has them when it matters
			}
			_, _ = fmt.Fprintf(sum, "%q %q %q\n", p.kind, p.name, p.text)
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// Clone makes a schema with an empty shadow of each table, in the transaction of conn. full is for those that shall take the place
// of the tables, with all that counts there. The indexes that no statement needs to work are left for [Set.Finish]. comment is the schema's.
func (s *Set) Clone(ctx context.Context, conn Conn, schema, comment string, full bool) error {
	definitions, err := s.definitions(ctx, conn, s.live, s.oids())
	if err != nil {
		return err
	}
	run := func(format string, args ...any) {
		if err == nil {
			if _, err = conn.Exec(ctx, fmt.Sprintf(format, args...)); err != nil {
				err = fmt.Errorf("%w: %.200s", err, fmt.Sprintf(format, args...))
			}
		}
	}
	run(`CREATE SCHEMA %s`, quote(schema))
	run(`COMMENT ON SCHEMA %s IS %s`, quote(schema), literal(comment))
	if err == nil {
		err = setPath(ctx, conn, s.Path(schema))
	}
	for _, t := range s.Tables {
		run(`CREATE TABLE %s (LIKE %s INCLUDING DEFAULTS INCLUDING GENERATED INCLUDING IDENTITY INCLUDING STORAGE INCLUDING COMPRESSION INCLUDING COMMENTS)`,
			quote(schema, t.Name), quote(t.Schema, t.Name))
	}
	for stage := beforeReplay; stage <= inPlace; stage++ {
		if stage == afterReplay || stage == inPlace && !full {
			continue
		}
		for i, t := range s.Tables {
			for _, p := range definitions[i] {
				if p.stage == stage && p.kind != "i identity sequence" {
					run(`%s`, t.filled(p.statement, schema))
				}
			}
		}
	}
	if err == nil && full {
		err = s.nameSequences(ctx, conn, schema)
	}
	if err != nil {
		return fmt.Errorf("make the shadow tables: %w", err)
	}
	return s.Check(ctx, conn, schema, full, false)
}

// filled returns a statement of a definition for the shadow.
func (t *Table) filled(statement, schema string) string {
	return strings.NewReplacer("\x01", quote(schema, t.Name), "\x02", quote(schema)).Replace(statement)
}

// nameSequences gives the sequences of identities the names of the live ones.
func (s *Set) nameSequences(ctx context.Context, conn Conn, schema string) error {
	for _, t := range s.Tables {
		for _, c := range t.Columns {
			var live, made string
			err := conn.QueryRow(ctx, `SELECT coalesce((SELECT relname FROM pg_class WHERE oid = pg_get_serial_sequence($1, $3)::regclass), ''),
				coalesce((SELECT relname FROM pg_class WHERE oid = pg_get_serial_sequence($2, $3)::regclass), '')`, quote(t.Schema, t.Name), quote(schema, t.Name), c.Name).Scan(&live, &made)
			if err == nil && live != made {
				_, err = conn.Exec(ctx, fmt.Sprintf(`ALTER SEQUENCE %s RENAME TO %s`, quote(schema, made), quote(live)))
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// Finish makes the indexes of the shadow of a table that [Set.Clone] has left out, as far as they are missing, or of all
// tables when name is "", and of full shadows all that is about them. It runs in a transaction.
func (s *Set) Finish(ctx context.Context, conn Conn, schema, name string, full bool) error {
	definitions, err := s.definitions(ctx, conn, s.live, s.oids())
	if err != nil {
		return err
	}
	if err := setPath(ctx, conn, s.Path(schema)); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, `SELECT set_config('maintenance_work_mem', '256MB', true) WHERE pg_size_bytes(current_setting('maintenance_work_mem')) < 268435456`); err != nil {
		return err
	}
	for i, t := range s.Tables {
		if name != "" && t.Name != name {
			continue
		}
		for _, p := range definitions[i] { // in the order of their stages
			if p.stage != afterReplay && !(full && p.stage == withIndexes) {
				continue
			}
			var there bool
			if p.stage == afterReplay {
				if err := conn.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, quote(schema, p.name)).Scan(&there); err != nil {
					return err
				}
			}
			if there {
				continue
			}
			if _, err := conn.Exec(ctx, t.filled(p.statement, schema)); err != nil {
				return fmt.Errorf("make the index %s of the shadow table %s: %w", p.name, t.Name, err)
			}
		}
	}
	return nil
}

// Check returns [ErrChanged] unless the shadows are defined as the live tables are: finished, with their indexes; full,
// with what only counts in their place. It runs in a transaction.
func (s *Set) Check(ctx context.Context, conn Conn, schema string, full, finished bool) error {
	live, err := s.definitions(ctx, conn, s.live, s.oids())
	if err != nil {
		return err
	}
	oids, err := s.shadows(ctx, conn, schema)
	if err != nil {
		return err
	}
	made, err := s.definitions(ctx, conn, s.Path(schema), oids)
	if err != nil {
		return err
	}
	counts := func(p part) bool {
		return p.kind != "i identity sequence" && (full || p.stage != inPlace && p.stage != withIndexes) && (finished || p.stage != afterReplay && p.stage != withIndexes)
	}
	for i, t := range s.Tables {
		if one, other := difference(live[i], made[i], counts), difference(made[i], live[i], counts); one+other != "" {
			return fmt.Errorf("%w: table %s has %s, and its shadow %s", ErrChanged, t.Name, orNothing(one), orNothing(other))
		}
	}
	return nil
}

// difference returns what the first has and the second lacks.
func difference(first, second []part, counts func(part) bool) string {
	known := map[part]bool{}
	for _, p := range second {
		known[part{kind: p.kind, name: p.name, text: p.text}] = true
	}
	for _, p := range first {
		if counts(p) && !known[part{kind: p.kind, name: p.name, text: p.text}] {
			return strings.Join(strings.Fields(p.kind[1:]+" "+p.name+" "+p.text), " ")
		}
	}
	return ""
}

func orNothing(text string) string {
	if text == "" {
		return "nothing like it"
	}
	return text
}

// shadows returns the shadow of each table.
func (s *Set) shadows(ctx context.Context, conn Conn, schema string) (oids []uint32, err error) {
	for _, t := range s.Tables {
		var oid *uint32
		if err := conn.QueryRow(ctx, `SELECT to_regclass($1)::oid`, quote(schema, t.Name)).Scan(&oid); err != nil {
			return nil, err
		}
		if oid == nil {
			return nil, fmt.Errorf("%w: table %s has no shadow in schema %s", ErrChanged, t.Name, schema)
		}
		oids = append(oids, *oid)
	}
	return oids, nil
}

func literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
