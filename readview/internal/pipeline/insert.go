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
	columns int      // that are arguments
	key     []int    // the arguments that are columns of its conflict target
	words   []string // the names in its assignments, which have to be of columns and tables
	many    string   // the statement for many rows
}

// parseInsert reads a statement that inserts its arguments, each once and in their
// order, perhaps with constants between them, and in case of a conflict does nothing or sets columns to what follows from
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
	s.peek()
	head := query[:s.start]
	s.expect("values")
	s.expect("(")
	arguments := make([]int, len(columns)) // of the columns; -1 is a constant
	selected := make([]string, len(columns))
	for n := range columns {
		if n > 0 {
			s.expect(",")
		}
		if constant := s.constant(); constant != "" {
			arguments[n], selected[n] = -1, constant
			continue
		}
		s.expect(fmt.Sprint("$", i.columns+1))
		arguments[n], selected[n] = i.columns, fmt.Sprint("c", i.columns+1)
		i.columns++
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
			i.key = []int{}
			for _, name := range target {
				switch column := slices.Index(columns, name); {
				case column < 0:
					s.unexpected = true
				case arguments[column] >= 0:
					i.key = append(i.key, arguments[column])
				}
			}
		}
	}
	s.accept(";")
	if !s.accept("") || i.columns == 0 {
		return insert{}, false
	}
	arrays, names := make([]string, i.columns), make([]string, i.columns)
	for n := range arrays {
		arrays[n], names[n] = fmt.Sprint("$", n+1), fmt.Sprint("c", n+1)
	}
	from := "unnest(" + strings.Join(arrays, ", ")
	if i.columns == len(columns) {
		i.many = head + "SELECT * FROM " + from + rest
	} else {
		i.many = head + "SELECT " + strings.Join(selected, ", ") + " FROM " + from + ") AS given (" + strings.Join(names, ", ") + rest
	}
	return i, true
}

// constant reads a whole number, true, false or NULL; "" is none of them.
func (s *scanner) constant() string {
	word := s.peek()
	if s.unexpected || word == "" || !isDigit(word[0]) && !slices.Contains([]string{"true", "false", "null"}, word) {
		return ""
	}
	s.read = false
	return word
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
