package pipeline

import (
	"slices"
	"strings"
)

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

// table reads the name of a table, and returns it as it is written, and the names in it.
func (s *scanner) table() (text string, names []string) {
	text = s.name()
	s.unexpected = s.unexpected || text == "only"
	names = []string{strings.Trim(text, `"`)}
	if s.accept(".") {
		name := s.name()
		text += "." + name
		names = append(names, strings.Trim(name, `"`))
	}
	return text, names
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
		if word[0] == '$' {
			s.unexpected = true
		}
		if name := s.operand(previous); name != "" {
			names = append(names, name)
		}
		previous, s.read = word, false
	}
	return names
}

// operand looks at the current word of an assignment, whether it may be there, and returns the name that it is, "" if it
// is none.
func (s *scanner) operand(previous string) string {
	word := s.word
	called := word == "(" && previous != "" && (isLetter(previous[0]) || previous[0] == '"')
	if slices.Contains(notAssigned, word) || called && !slices.Contains(beforeParenthesis, previous) {
		s.unexpected = true
	}
	if strings.IndexByte(operatorBytes, word[0]) >= 0 && !slices.Contains(operators, s.operator()) {
		s.unexpected = true
	}
	if (isLetter(word[0]) || word[0] == '"') && !slices.Contains(keywords, word) && !slices.Contains(beforeParenthesis, word) {
		return strings.Trim(word, `"`)
	}
	return ""
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
