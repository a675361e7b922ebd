package shadow

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

// Comparison is how a table differs from its shadow.
type Comparison struct {
	Change
	Columns map[string]int64 // in how many rows that both have a column differs; nil without a key
	Keyed   bool             // rows were told apart by a key: otherwise whole rows are lacking, or too many
	First   []Row
}

// Row is one that differs.
type Row struct {
	Key     json.RawMessage       // of a table with a key
	Live    json.RawMessage       // nil: the table lacks the row
	Shadow  json.RawMessage       // nil: it has it besides
	Columns map[string][2]*string // what differs: the live value, and the shadow's, as text
}

// Compare compares the live tables with their shadows, in a transaction, and returns some of the rows that differ.
func (s *Set) Compare(ctx context.Context, conn Conn, schema string, first int) (all []Comparison, err error) {
	if err := prepare(ctx, conn); err != nil {
		return nil, err
	}
	for _, t := range s.Tables {
		compare := s.compareRows
		if t.Key == nil {
			compare = s.compareAll
		}
		c, err := compare(ctx, conn, t, schema, first)
		if err != nil {
			return nil, fmt.Errorf("compare table %s: %w", t.Name, err)
		}
		c.Table, c.LeftOut = t.Name, t.leftOut()
		all = append(all, c)
	}
	return all, nil
}

// compareRows compares a table whose rows have a key.
func (s *Set) compareRows(ctx context.Context, conn Conn, t *Table, schema string, first int) (c Comparison, err error) {
	live, shadow, d := s.seen(t, s.liveTables, s.narrow(schema, t, s.liveTables(t))), s.seen(t, in(schema), s.narrow(schema, t, in(schema)(t))), s.different(t)
	if _, err := conn.Exec(ctx, `CREATE TEMP TABLE `+strings.TrimPrefix(d, "pg_temp.")+` ON COMMIT DROP AS `+t.differenceSQL(live, shadow)); err != nil {
		return c, err
	}
	c.Keyed = true
	err = conn.QueryRow(ctx, `SELECT count(*) FILTER (WHERE d."(ins)"), count(*) FILTER (WHERE NOT d."(ins)" AND NOT d."(del)"), count(*) FILTER (WHERE d."(del)"), (SELECT count(*) FROM `+shadow+` s)
		FROM `+d+` d`).Scan(&c.Inserted, &c.Updated, &c.Deleted, &c.Rows)
	if err != nil || !c.Any() {
		return c, err
	}
	both := ` FROM ` + d + ` d LEFT JOIN ` + live + ` l ON ` + t.on("l", "d") + ` LEFT JOIN ` + shadow + ` s ON ` + t.on("s", "d")
	var counts, columns []string
	for _, name := range t.told() {
		differs := image("l", []string{name}) + ` *<> ` + image("s", []string{name})
		counts = append(counts, literal(name)+`, count(*) FILTER (WHERE `+differs+`)`)
		columns = append(columns, `CASE WHEN `+differs+` THEN jsonb_build_object(`+literal(name)+`, jsonb_build_array(l.`+quote(name)+`::text, s.`+quote(name)+`::text)) ELSE '{}' END`)
	}
	var text string
	// In pieces: a function takes a hundred arguments.
	var objects []string
	for len(counts) > 0 {
		n := min(len(counts), 40)
		objects, counts = append(objects, `jsonb_build_object(`+strings.Join(counts[:n], ", ")+`)`), counts[n:]
	}
	if err := conn.QueryRow(ctx, `SELECT (`+strings.Join(objects, " || ")+`)::text`+both+` WHERE NOT d."(ins)" AND NOT d."(del)"`).Scan(&text); err != nil {
		return c, err
	}
	if err := json.Unmarshal([]byte(text), &c.Columns); err != nil {
		return c, err
	}
	for name, n := range c.Columns {
		if n == 0 {
			delete(c.Columns, name)
		}
	}
	rows, err := conn.Query(ctx, `SELECT (SELECT to_jsonb(k.*) FROM (SELECT `+list("d", t.Key)+`) AS k)::text,
		CASE WHEN NOT d."(ins)" THEN `+t.row("l")+` END, CASE WHEN NOT d."(del)" THEN `+t.row("s")+` END,
		CASE WHEN NOT d."(ins)" AND NOT d."(del)" THEN (`+strings.Join(columns, " || ")+`)::text END`+both+` ORDER BY `+list("d", t.Key)+` LIMIT `+fmt.Sprint(first))
	if err != nil {
		return c, err
	}
	defer rows.Close()
	for rows.Next() {
		var key string
		var l, s, differ *string
		if err := rows.Scan(&key, &l, &s, &differ); err != nil {
			return c, err
		}
		row := Row{Key: json.RawMessage(key), Live: raw(l), Shadow: raw(s)}
		if differ != nil {
			if err := json.Unmarshal([]byte(*differ), &row.Columns); err != nil {
				return c, err
			}
		}
		c.First = append(c.First, row)
	}
	return c, rows.Err()
}

func raw(text *string) json.RawMessage {
	if text == nil {
		return nil
	}
	return json.RawMessage(*text)
}

// compareAll compares a table whose rows have no key, as a heap of rows that may be there several times.
func (s *Set) compareAll(ctx context.Context, conn Conn, t *Table, schema string, first int) (c Comparison, err error) {
	live, shadow, compared := s.seen(t, s.liveTables, s.liveTables(t)), s.seen(t, in(schema), in(schema)(t)), t.told() // none is a table of which only the number of rows tells
	// By their text: not all types can be hashed.
	side := func(table, alias string, sign int) string {
		return fmt.Sprintf(`SELECT %d AS n, ROW(%s)::text AS r FROM %s %s`, sign, list(alias, compared), table, alias)
	}
	d := strings.TrimPrefix(s.different(t), "pg_temp.")
	_, err = conn.Exec(ctx, `CREATE TEMP TABLE `+d+` ON COMMIT DROP AS SELECT r, sum(n) AS n FROM (`+side(live, "l", 1)+` UNION ALL `+side(shadow, "s", -1)+`) AS x GROUP BY r HAVING sum(n) <> 0`)
	if err != nil {
		return c, err
	}
	err = conn.QueryRow(ctx, `SELECT coalesce(-sum(n) FILTER (WHERE n < 0), 0)::bigint, coalesce(sum(n) FILTER (WHERE n > 0), 0)::bigint, (SELECT count(*) FROM `+shadow+` s) FROM pg_temp.`+d).Scan(&c.Inserted, &c.Deleted, &c.Rows)
	if err != nil || !c.Any() {
		return c, err
	}
	rows, err := conn.Query(ctx, `SELECT n > 0, to_jsonb(r)::text FROM pg_temp.`+d+` ORDER BY r LIMIT `+fmt.Sprint(first))
	if err != nil {
		return c, err
	}
	defer rows.Close()
	for rows.Next() {
		var extra bool
		var text string
		if err := rows.Scan(&extra, &text); err != nil {
			return c, err
		}
		row := Row{Shadow: json.RawMessage(text)}
		if extra {
			row = Row{Live: json.RawMessage(text)}
		}
		c.First = append(c.First, row)
	}
	return c, rows.Err()
}
