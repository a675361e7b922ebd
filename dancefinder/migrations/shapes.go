package migrations

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// readView is a table that DanceFinder has had from the start.
type readView struct {
	name    string
	columns string   // those that never changed
	refers  []string // the tables that rows refer to
	text    bool     // rows refer to nothing: their ids may have any form until the last
	key     string   // what makes a row unique in the end; may be empty
}

var readViews = []readView{
	{name: "band", columns: "name text, created timestamptz", key: "name"},
	{name: "dance_hall", columns: "name text, city text, municipality text, state text, latitude float8, longitude float8, created timestamptz", key: "name, city, municipality, state"},
	{name: "event", columns: "event_date date, start_time time, end_time time, extra_info text, created timestamptz, updated timestamptz", refers: []string{"band", "dance_hall"}},
	{name: "origin", columns: "subject text, origin text, latitude float8?, longitude float8?, created timestamptz", text: true, key: "subject, origin"},
	{name: "ignored_band", columns: "subject text, created timestamptz", refers: []string{"band"}, key: "subject, band_id"},
	{name: "ignored_dance_hall", columns: "subject text, created timestamptz", refers: []string{"dance_hall"}, key: "subject, dance_hall_id"},
	{name: "ignored_city", columns: "subject text, city text, created timestamptz", text: true, key: "subject, city"},
	{name: "ignored_municipality", columns: "subject text, municipality text, created timestamptz", text: true, key: "subject, municipality"},
	{name: "ignored_state", columns: "subject text, state text, created timestamptz", text: true, key: "subject, state"},
}

// shape is what the tables look like at one point of their history.
type shape struct {
	version  int64  // of the step that leaves them so
	ids      string // of all tables but the text-keyed ones
	textIDs  string
	refers   string // with % for the table that is referred to
	complete bool   // with all constraints of the standard
}

const anyID = "id integer|uuid?, uuid uuid?"

// shapes that a database may have, in the order in which they are tried. The last two are half-way
// between two steps, and the later of these finishes them.
var shapes = []shape{
	{version: 3, ids: "id uuid", textIDs: "id uuid", refers: "%_id uuid", complete: true},
	{version: 1, ids: "id integer, uuid uuid", textIDs: anyID, refers: "%_id integer"},
	{version: 2, ids: "id integer, uuid uuid", textIDs: anyID, refers: "%_id integer?, %_uuid uuid"},
	{version: 2, ids: "id uuid", textIDs: anyID, refers: "%_uuid uuid"},
	{version: 2, ids: "id uuid", textIDs: anyID, refers: "%_id uuid"},
}

// typeNames are the types that a column may have, by what they are called here.
var typeNames = map[string][]string{
	"integer":     {"smallint", "integer", "bigint"},
	"text":        {"text", "character varying"},
	"uuid":        {"uuid"},
	"float8":      {"double precision"},
	"date":        {"date"},
	"time":        {"time without time zone"},
	"timestamptz": {"timestamp with time zone"},
}

// column is one of a table in the database.
type column struct {
	Table, Name, Type   string
	NotNull, HasDefault bool
}

// tables are the columns that a database has, by table and name.
type tables map[string]map[string]column

// differences says in what the tables are not of this shape.
func (s shape) differences(found tables, keys map[string][]string) (all []string) {
	for _, t := range readViews {
		columns, ok := found[t.name]
		if !ok {
			all = append(all, "there is no table "+t.name)
			continue
		}
		ids := s.ids
		if t.text {
			ids = s.textIDs
		}
		want := ids + ", " + t.columns
		for _, parent := range t.refers {
			want += ", " + strings.ReplaceAll(s.refers, "%", parent)
		}
		all = append(all, compare(t.name, want, columns)...)
		if s.complete {
			all = append(all, incomplete(t.name, t.key, columns, keys[t.name])...)
		}
	}
	return all
}

// compare says in what columns are not those that are wanted.
func compare(table, want string, columns map[string]column) (all []string) {
	known := map[string]bool{}
	for definition := range strings.SplitSeq(want, ", ") {
		name, kind, _ := strings.Cut(definition, " ")
		known[name] = true
		kind, optional := strings.CutSuffix(kind, "?")
		c, ok := columns[name]
		switch {
		case !ok && !optional:
			all = append(all, fmt.Sprintf("%s has no column %s", table, name))
		case ok && !slices.ContainsFunc(strings.Split(kind, "|"), func(k string) bool { return slices.Contains(typeNames[k], c.Type) }):
			all = append(all, fmt.Sprintf("%s.%s is %s, not %s", table, name, c.Type, strings.ReplaceAll(kind, "|", " or ")))
		}
	}
	if columns["id"].Type == "uuid" && known["uuid"] && columns["uuid"].Name != "" {
		all = append(all, table+" has two uuids, id and uuid")
	}
	for _, name := range slices.Sorted(maps.Keys(columns)) {
		if !known[name] {
			all = append(all, fmt.Sprintf("%s has a column %s (%s)", table, name, columns[name].Type))
		}
	}
	return all
}

// incomplete says what a table with the standard's columns lacks of its constraints, or
// has beside them.
func incomplete(table, key string, columns map[string]column, keys []string) (all []string) {
	for _, c := range columns {
		if c.NotNull == nullable(c.Name) || c.HasDefault != (c.Name == "extra_info") || c.Type == "character varying" {
			all = append(all, fmt.Sprintf("%s.%s is not as it should be", table, c.Name))
		}
	}
	want := []string{"id"}
	if key != "" {
		want = append(want, key)
	}
	slices.Sort(want)
	if !slices.Equal(want, keys) {
		all = append(all, fmt.Sprintf("%s is unique in (%s)", table, strings.Join(keys, "), (")))
	}
	return all
}

// nullable tells whether a column of the standard may be without a value.
func nullable(column string) bool {
	return slices.Contains([]string{"start_time", "end_time", "latitude", "longitude"}, column)
}
