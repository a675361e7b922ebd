package pipeline

import (
	"fmt"
	"slices"
	"strings"
)

// form is what a statement about one row is made of.
type form struct {
	verb      string
	table     string
	names     []string // of the table: schema, table, alias
	count     int      // of the arguments
	columns   []string // that an INSERT fills, or that are the key which others look for
	arguments []int    // theirs; -1 is a constant
	again     bool     // one of an INSERT is there twice
	casts     []cast   // as far as arguments are given types
	target    []int    // of an upsert: the arguments that are columns of its conflict target
	replaces  bool     // it makes the row what it would have inserted
	assigned  []string // the columns that an UPDATE sets
	words     []string // the names in what it sets or asks for, which have to be of columns and tables
	many      string   // the statement for many rows
}

const (
	inserts = "INSERT"
	updates = "UPDATE"
	deletes = "DELETE"
	selects = "SELECT"
)

// parse reads a statement that goes together with others of its text.
func parse(query string) (form, bool) {
	if f, ok := parseInsert(query); ok {
		return f, true
	}
	f, ok := parseKeyed(query)
	return f, ok && f.verb != selects
}

// parseKeyed reads a statement that changes, deletes or asks for the row of a key, which are columns that are equal to arguments.
//
//	UPDATE entry SET total = total + $2 WHERE n = $1
//	UPDATE entry SET total = total + readview_2 FROM unnest($1, $2) AS readview_given (readview_1, readview_2) WHERE n = ANY (ARRAY[readview_1])
//
// No plan hashes or merges by that ANY: it looks into the index, row by row, in the order of the arguments.
func parseKeyed(query string) (form, bool) {
	s := &scanner{text: query}
	f, r := form{}, &rewriting{from: query}
	using := ""
	switch {
	case s.accept("update"):
		f.verb, using = updates, "FROM"
		s.aliased(&f, "set")
		s.expect("set")
		for more := true; more; more = s.accept(",") {
			f.assigned = append(f.assigned, strings.Trim(s.name(), `"`))
			s.expect("=")
			f.words = append(f.words, s.expression(&f, r)...)
		}
	case s.accept("delete"):
		f.verb, using = deletes, "USING"
		s.expect("from")
		s.aliased(&f, "where")
	case s.accept("select"):
		f.verb = selects
		f.words = s.selection()
		s.expect("from")
		s.aliased(&f, "where")
	default:
		return form{}, false
	}
	s.peek()
	where := s.start
	s.expect("where")
	at := len(r.places)
	for more := true; more; more = s.accept("and") {
		f.columns = append(f.columns, s.column(f.names))
		s.expect("=")
		f.arguments = append(f.arguments, r.argument(s, &f))
	}
	s.accept(";")
	if !s.accept("") || !r.all() {
		return form{}, false
	}
	f.count = r.count
	if using != "" {
		f.many = r.many(where, at, using)
	} else if !slices.ContainsFunc(f.names, func(name string) bool { return strings.HasPrefix(name, "readview_") }) {
		f.many = r.found()
	}
	return f, true
}

// aliased reads a table and its alias, before a word.
func (s *scanner) aliased(f *form, before string) {
	f.table, f.names = s.table()
	if s.accept("as") || s.peek() != before {
		f.names = append(f.names, strings.Trim(s.name(), `"`))
	}
}

// column reads the name of a column, perhaps behind its table's.
func (s *scanner) column(tables []string) string {
	name := strings.Trim(s.name(), `"`)
	if !s.accept(".") {
		return name
	}
	s.unexpected = s.unexpected || !slices.Contains(tables, name)
	return strings.Trim(s.name(), `"`)
}

// selection reads a list of columns, and returns the names in it but those that it gives them.
func (s *scanner) selection() (names []string) {
	for more := true; more; more = s.accept(",") {
		if s.accept("*") {
			continue
		}
		names = append(names, strings.Trim(s.name(), `"`))
		if s.accept(".") && !s.accept("*") {
			names = append(names, strings.Trim(s.name(), `"`))
		}
		if s.accept("as") {
			s.name()
		}
	}
	return names
}

// expression reads what a column is set to, and returns the names in it.
func (s *scanner) expression(f *form, r *rewriting) (names []string) {
	previous := ""
	for depth := 0; ; s.read = false {
		word := s.peek()
		if s.unexpected || word == "" || word == ";" || depth == 0 && (word == "," || word == "where") {
			s.unexpected = s.unexpected || previous == "" || depth != 0
			return names
		}
		switch word {
		case "(":
			depth++
		case ")":
			depth--
		}
		if depth < 0 || word == "default" || word == "excluded" || word == "from" && previous != "distinct" {
			s.unexpected = true
		}
		if word[0] == '$' {
			r.argument(s, f)
		} else if name := s.operand(previous); name != "" {
			names = append(names, name)
		}
		previous = word
	}
}

// rewriting is a text and the places of arguments in it.
type rewriting struct {
	from   string
	places [][2]int
	which  []int
	count  int
}

// argument reads one, and returns its index.
func (r *rewriting) argument(s *scanner, f *form) int {
	s.peek()
	start := s.start
	n := s.argument(f)
	if n >= 0 {
		r.places, r.which, r.count = append(r.places, [2]int{start, s.at}), append(r.which, n+1), max(r.count, n+1)
	}
	return n
}

// all tells whether there are all arguments up to the last.
func (r *rewriting) all() bool {
	for n := range r.count {
		if !slices.Contains(r.which, n+1) {
			return false
		}
	}
	return r.count > 0
}

// many returns the text with what is given in the place of arguments, which for those from key on are the key.
func (r *rewriting) many(where, key int, using string) string {
	arrays, names := make([]string, r.count), make([]string, r.count)
	for n := range arrays {
		arrays[n], names[n] = fmt.Sprint("$", n+1), fmt.Sprint("readview_", n+1)
	}
	source := fmt.Sprintf("%s unnest(%s) AS readview_given (%s) ", using, strings.Join(arrays, ", "), strings.Join(names, ", "))
	var text strings.Builder
	end := 0
	for i, place := range r.places {
		if i == key {
			text.WriteString(r.from[end:where] + source)
			end = where
		}
		value := fmt.Sprint("readview_", r.which[i])
		if i >= key {
			value = "ANY (ARRAY[" + value + "])"
		}
		text.WriteString(r.from[end:place[0]] + value)
		end = place[1]
	}
	return text.String() + r.from[end:]
}

// found returns the text with the rows of many keys, each with the number of what it is for.
func (r *rewriting) found() string {
	arrays, names := make([]string, r.count), make([]string, r.count)
	for n := range arrays {
		arrays[n], names[n] = fmt.Sprint("$", n+1), fmt.Sprint("readview_", n+1)
	}
	var text strings.Builder
	end := 0
	for i, place := range r.places {
		text.WriteString(r.from[end:place[0]] + fmt.Sprintf("ANY (ARRAY[readview_given.readview_%d])", r.which[i]))
		end = place[1]
	}
	return fmt.Sprintf("SELECT readview_given.readview_n, readview_found.* FROM unnest(%s) WITH ORDINALITY AS readview_given (%s, readview_n), LATERAL (%s) AS readview_found",
		strings.Join(arrays, ", "), strings.Join(names, ", "), &text)
}
