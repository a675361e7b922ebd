package pipeline

import (
	"fmt"
	"slices"
	"strings"
)

// insert is an INSERT of one row.
type insert struct {
	table   string
	tables  []string // its names: schema, table, alias
	columns int
	key     []int    // the columns of its conflict target, by number
	words   []string // the names in its assignments, which have to be of columns and tables
	many    string   // the statement for many rows
}

// parseInsert reads a statement that inserts its arguments, each once and in their
// order, and in case of a conflict does nothing or sets columns to what follows from
// the row that is there and the one that is not. Of any other it says no.
func parseInsert(query string) (insert, bool) {
	s := &scanner{text: query}
	s.expect("insert")
	s.expect("into")
	i := insert{table: s.name()}
	i.tables = []string{strings.Trim(i.table, `"`)}
	if s.accept(".") {
		name := s.name()
		i.table += "." + name
		i.tables = append(i.tables, strings.Trim(name, `"`))
	}
	if s.accept("as") {
		i.tables = append(i.tables, strings.Trim(s.name(), `"`))
	}
	columns := s.names()
	i.columns = len(columns)
	s.peek()
	head := query[:s.start]
	s.expect("values")
	s.expect("(")
	for n := range columns {
		if n > 0 {
			s.expect(",")
		}
		s.expect(fmt.Sprint("$", n+1))
	}
	s.peek()
	rest := query[s.start:]
	s.expect(")")
	if s.accept("on") {
		s.expect("conflict")
		var target []string
		if s.peek() == "(" {
			target = s.names()
		}
		s.expect("do")
		if !s.accept("nothing") {
			s.expect("update")
			s.expect("set")
			i.words = s.assignments()
			for _, name := range target {
				i.key = append(i.key, slices.Index(columns, name))
			}
		}
	}
	s.accept(";")
	if !s.accept("") || slices.Contains(i.key, -1) {
		return insert{}, false
	}
	arguments := make([]string, i.columns)
	for n := range arguments {
		arguments[n] = fmt.Sprint("$", n+1)
	}
	i.many = head + "SELECT * FROM unnest(" + strings.Join(arguments, ", ") + rest
	return i, true
}

// scanner reads the words of a statement. What it does not expect, it fails at.
type scanner struct {
	text       string
	start, at  int    // the current word's
	word       string // in lower case, unless it is quoted; "" at the end
	read       bool
	unexpected bool
}

// peek returns the next word.
func (s *scanner) peek() string {
	if s.read {
		return s.word
	}
	space := lexer{text: s.text, at: s.at}
	space.space()
	s.at = space.at
	s.start, s.read = s.at, true
	end := s.at
	for end < len(s.text) && (isLetter(s.text[end]) || end > s.at && isDigit(s.text[end])) {
		end++
	}
	switch {
	case s.at == len(s.text):
	case end > s.at:
	case s.text[end] == '"':
		if end = s.at + 1 + strings.IndexByte(s.text[s.at+1:], '"') + 1; end == s.at+1 {
			end, s.unexpected = s.at, true
		}
	case s.text[end] == '$' || isDigit(s.text[end]):
		for end++; end < len(s.text) && isDigit(s.text[end]); end++ {
		}
	case strings.IndexByte("(),.=+-*/<>|%;", s.text[end]) >= 0:
		end++
	default:
		s.unexpected = true
	}
	s.word = s.text[s.at:end]
	if !strings.HasPrefix(s.word, `"`) {
		s.word = strings.ToLower(s.word)
	}
	s.at = end
	return s.word
}

func isLetter(c byte) bool { return c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
func isDigit(c byte) bool  { return '0' <= c && c <= '9' }

func (s *scanner) accept(word string) bool {
	if s.unexpected || s.peek() != word || s.unexpected {
		return false
	}
	s.read = word == ""
	return true
}

func (s *scanner) expect(word string) {
	if !s.accept(word) {
		s.unexpected = true
	}
}

// name reads a name.
func (s *scanner) name() string {
	word := s.peek()
	if s.unexpected || word == "" || !isLetter(word[0]) && word[0] != '"' {
		s.unexpected = true
		return ""
	}
	s.read = false
	return word
}

// names reads a list of names in parentheses.
func (s *scanner) names() (names []string) {
	s.expect("(")
	for more := true; more; more = s.accept(",") {
		names = append(names, s.name())
	}
	s.expect(")")
	return names
}

// What may stand before a parenthesis in an assignment: any other function may look
// at the table.
var beforeParenthesis = []string{"coalesce", "greatest", "least", "nullif", "where", "and", "or", "not", "in", "when", "then", "else"}

// What must not be in an assignment.
var notAssigned = []string{"select", "values", "table", "with", "returning", "exists"}

// The operators in assignments: others may be anybody's, and do anything.
var operators = []string{"=", "+", "-", "*", "/", "%", "||", "<", ">", "<=", ">=", "<>"}

// Keywords in assignments, besides those before parentheses.
var keywords = []string{"case", "end", "is", "null", "true", "false", "distinct", "from", "between", "default", "excluded"}

// assignments reads to the end of the statement, and returns the names that are in it.
func (s *scanner) assignments() (names []string) {
	previous := ""
	for word := s.peek(); word != "" && word != ";" && !s.unexpected; word = s.peek() {
		called := word == "(" && previous != "" && (isLetter(previous[0]) || previous[0] == '"')
		if word[0] == '$' || slices.Contains(notAssigned, word) || called && !slices.Contains(beforeParenthesis, previous) {
			s.unexpected = true
		}
		if strings.IndexByte(operatorBytes, word[0]) >= 0 && !slices.Contains(operators, s.operator()) {
			s.unexpected = true
		}
		if name := strings.Trim(word, `"`); (isLetter(word[0]) || word[0] == '"') && !slices.Contains(keywords, word) && !slices.Contains(beforeParenthesis, word) {
			names = append(names, name)
		}
		previous, s.read = word, false
	}
	return names
}

const operatorBytes = "=+-*/<>|%"

// operator returns the whole of the operator that the current word is a part of.
func (s *scanner) operator() string {
	begin, end := s.start, s.at
	for begin > 0 && strings.IndexByte(operatorBytes+"~!@#^&`?", s.text[begin-1]) >= 0 {
		begin--
	}
	for end < len(s.text) && strings.IndexByte(operatorBytes+"~!@#^&`?", s.text[end]) >= 0 {
		end++
	}
	return s.text[begin:end]
}
