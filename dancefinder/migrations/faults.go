package migrations

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// mostFaults is how many rows an error names.
const mostFaults = 20

// check finds the rows for which condition holds. In it, n counts the rows that are alike
// in key.
type check struct {
	table, key, condition, problem string
}

// checkRows returns a [*RowsError] for rows that the steps up to a version can't take. What
// may be missing in a row is not among them, nor is a reference that dangles: see the steps.
// The server would refuse the rows as well, but not say which.
func checkRows(ctx context.Context, pool *pgxpool.Pool, from, upTo int64) error {
	if from < 1 || from > 2 || upTo < 2 {
		return nil
	}
	found, _, err := inspect(ctx, pool)
	if err != nil {
		return err
	}
	faults := RowsError{}
	for _, c := range checks(found, upTo) {
		if err := faults.find(ctx, pool, c); err != nil {
			return err
		}
	}
	if faults.Total > 0 {
		return &faults
	}
	return nil
}

// checks returns what must hold for the tables as they are. The second step needs the
// ids and uuids of bands and halls to be different, the third one the rest.
func checks(found tables, upTo int64) (all []check) {
	for _, t := range readViews {
		columns := found[t.name]
		has := func(name string) bool { return columns[name].Name != "" }
		referred := t.name == "band" || t.name == "dance_hall" // by either id
		for _, id := range []string{"uuid", "id"} {
			if has(id) && (referred || upTo > 2 && columns[id].Type == "uuid") {
				all = append(all, check{t.name, id, fmt.Sprintf("n > 1 AND %s IS NOT NULL", id), "another row has the same " + id})
			}
		}
		if upTo < 3 {
			continue
		}
		for definition := range strings.SplitSeq(t.columns, ", ") {
			name, _, _ := strings.Cut(definition, " ")
			if !nullable(name) && !filled(t.name, name) {
				all = append(all, check{t.name, "", name + " IS NULL", name + " is missing"})
			}
		}
		if has("latitude") && has("longitude") {
			all = append(all, check{t.name, "", "(latitude IS NULL) <> (longitude IS NULL)", "a coordinate needs latitude and longitude"})
		}
		if t.key != "" {
			all = append(all, duplicates(t, has))
		}
	}
	return all
}

// filled tells whether the third step gives the column a value where it has none.
func filled(table, column string) bool {
	switch table + "." + column {
	case "event.extra_info", "event.updated", "dance_hall.city", "dance_hall.municipality", "dance_hall.state":
		return true
	}
	return false
}

func duplicates(t readView, has func(string) bool) check {
	key, condition := t.key, "n > 1"
	for _, parent := range t.refers {
		reference := parent + "_id"
		if has(parent + "_uuid") {
			reference = parent + "_uuid"
		}
		key = strings.ReplaceAll(key, parent+"_id", reference)
		condition += " AND " + reference + " IS NOT NULL" // what refers to nothing gets an id of its own
	}
	partition := key
	if t.name == "dance_hall" { // what is missing is filled
		partition = "name, coalesce(city, ''), coalesce(municipality, ''), coalesce(state, '')"
	}
	return check{t.name, partition, condition, "another row has the same " + key}
}

func (e *RowsError) find(ctx context.Context, pool *pgxpool.Pool, c check) error {
	count := "1"
	if c.key != "" {
		count = "count(*) OVER (PARTITION BY " + c.key + ")"
	}
	// Texts that are NULL are not alike, as in a unique constraint: "is missing" is about them.
	rows, err := pool.Query(ctx, fmt.Sprintf(`SELECT count(*) OVER (), coalesce(r ->> 'id', r ->> 'uuid', ''), r::text
		FROM (SELECT *, to_jsonb(t) AS r, %s AS n FROM %s AS t) AS t WHERE %s ORDER BY %s LIMIT %d`,
		count, c.table, c.condition, strings.TrimPrefix(c.key+", 2", ", "), mostFaults))
	if err != nil {
		return err
	}
	total := 0
	f := Fault{Table: c.table, Problem: c.problem}
	_, err = pgx.ForEachRow(rows, []any{&total, &f.ID, &f.Row}, func() error {
		if len(e.Faults) < mostFaults {
			e.Faults = append(e.Faults, f)
		}
		return nil
	})
	e.Total += total
	return err
}
