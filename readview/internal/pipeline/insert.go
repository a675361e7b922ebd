package pipeline

import (
	"fmt"
	"slices"
	"strings"
)

// parseInsert reads a statement that inserts its arguments, perhaps with constants between them, and in case of a conflict does nothing or sets columns to what follows from
// the row that is there and the one that is not. Of any other it says no.
func parseInsert(query string) (form, bool) {
	s := &scanner{text: query}
	s.expect("insert")
	s.expect("into")
	f := form{verb: inserts}
	f.table, f.names = s.table()
	if s.accept("as") {
		f.names = append(f.names, strings.Trim(s.name(), `"`))
	}
	columns := s.names()
	s.peek()
	head := query[:s.start]
	s.expect("values")
	s.expect("(")
	selected := make([]string, len(columns))
	for n, column := range columns {
		if n > 0 {
			s.expect(",")
		}
		f.columns = append(f.columns, strings.Trim(column, `"`))
		if constant := s.constant(); constant != "" {
			f.arguments, selected[n] = append(f.arguments, -1), constant
			continue
		}
		argument := s.argument(&f)
		f.again = f.again || slices.Contains(f.arguments, argument)
		f.arguments, selected[n] = append(f.arguments, argument), fmt.Sprint("c", argument+1)
		f.count = max(f.count, argument+1)
	}
	s.peek()
	rest := query[s.start:]
	s.expect(")")
	if s.accept("on") {
		s.conflict(&f)
	}
	s.accept(";")
	if !s.accept("") || f.count == 0 || f.count > len(columns) {
		return form{}, false
	}
	for n := range f.count {
		if !slices.Contains(f.arguments, n) {
			return form{}, false
		}
	}
	arrays, names := make([]string, f.count), make([]string, f.count)
	for n := range arrays {
		arrays[n], names[n] = fmt.Sprint("$", n+1), fmt.Sprint("c", n+1)
	}
	from := "unnest(" + strings.Join(arrays, ", ")
	if slices.Equal(selected, names) {
		f.many = head + "SELECT * FROM " + from + rest
	} else {
		f.many = head + "SELECT " + strings.Join(selected, ", ") + " FROM " + from + ") AS given (" + strings.Join(names, ", ") + rest
	}
	return f, true
}

// conflict reads what an INSERT does in case of one.
func (s *scanner) conflict(f *form) {
	s.expect("conflict")
	var target []string
	if s.peek() == "(" {
		target = s.names()
	}
	s.expect("do")
	if s.accept("nothing") {
		return
	}
	s.expect("update")
	s.expect("set")
	f.replaces = s.replacement(f.columns, target)
	f.words = s.assignments()
	f.target = []int{}
	for _, name := range target {
		switch column := slices.Index(f.columns, strings.Trim(name, `"`)); {
		case column < 0:
			s.unexpected = true
		case f.arguments[column] >= 0:
			f.target = append(f.target, f.arguments[column])
		}
	}
}

// replacement tells whether all columns but those of the key are set to what would be inserted, and nothing else. It reads a
// copy of the scanner.
func (s scanner) replacement(columns, key []string) bool {
	var set []string
	for more := true; more; more = s.accept(",") {
		name := strings.Trim(s.name(), `"`)
		s.expect("=")
		s.expect("excluded")
		s.expect(".")
		s.unexpected = s.unexpected || strings.Trim(s.name(), `"`) != name
		set = append(set, name)
	}
	s.accept(";")
	for _, name := range key {
		set = append(set, strings.Trim(name, `"`))
	}
	return s.accept("") && len(set) == len(columns) && !slices.ContainsFunc(columns, func(name string) bool { return !slices.Contains(set, name) })
}

// constant reads a whole number, a text, true, false or NULL; "" is none of them.
func (s *scanner) constant() string {
	word := s.peek()
	if s.unexpected || word == "" || !isDigit(word[0]) && word[0] != '\'' && !slices.Contains([]string{"true", "false", "null"}, word) {
		return ""
	}
	s.read = false
	return word
}
