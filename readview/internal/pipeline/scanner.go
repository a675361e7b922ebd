package pipeline

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgtype"
)

// scanner reads the words of a statement. What it does not expect, it fails at.
type scanner struct {
	text       string
	start, at  int    // the current word's
	word       string // in lower case, unless it is quoted or a text; "" at the end
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
	case s.text[end] == '\'':
		if end = s.textEnd(); end < 0 {
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
	if !strings.HasPrefix(s.word, `"`) && !strings.HasPrefix(s.word, "'") {
		s.word = strings.ToLower(s.word)
	}
	s.at = end
	return s.word
}

// moving are words that are another value of a time in each statement that has them.
var moving = regexp.MustCompile(`(?i)\b(now|today|tomorrow|yesterday)\b`)

// textEnd returns the end of the text between quotes that begins here; -1 if it is none, or one that may mean something else than it says.
func (s *scanner) textEnd() int {
	if s.at > 0 && (isLetter(s.text[s.at-1]) || isDigit(s.text[s.at-1]) || strings.IndexByte("'&$\"", s.text[s.at-1]) >= 0 || s.text[s.at-1] >= 0x80) {
		return -1 // E'', U&'', one behind another
	}
	for end := s.at + 1; end < len(s.text); end++ {
		switch s.text[end] {
		case '\\', 0:
			return -1
		case '\'':
			if strings.HasPrefix(s.text[end+1:], "'") {
				end++
				continue
			}
			if moving.MatchString(s.text[s.at:end]) {
				return -1
			}
			return end + 1
		}
	}
	return -1
}

// builtin are types of PostgreSQL's own by their names.
var builtin = map[string]uint32{
	"bool": pgtype.BoolOID, "boolean": pgtype.BoolOID, "int2": pgtype.Int2OID, "smallint": pgtype.Int2OID, "int4": pgtype.Int4OID, "int": pgtype.Int4OID, "integer": pgtype.Int4OID,
	"int8": pgtype.Int8OID, "bigint": pgtype.Int8OID, "float4": pgtype.Float4OID, "real": pgtype.Float4OID, "float8": pgtype.Float8OID, "numeric": pgtype.NumericOID,
	"text": pgtype.TextOID, "uuid": pgtype.UUIDOID, "json": pgtype.JSONOID, "jsonb": pgtype.JSONBOID, "bytea": pgtype.ByteaOID,
	"date": pgtype.DateOID, "timestamp": pgtype.TimestampOID, "timestamptz": pgtype.TimestamptzOID,
}

// cast says which type an argument is given.
type cast struct {
	argument int
	oid      uint32
}

// argument reads one, perhaps with its type, and returns its index.
func (s *scanner) argument(f *form) int {
	word := s.peek()
	n, err := strconv.Atoi(strings.TrimPrefix(word, "$"))
	if err != nil || word[0] != '$' || n < 1 {
		s.unexpected = true
		return -1
	}
	s.read = false
	if strings.HasPrefix(s.text[s.at:], "::") {
		s.at += len("::")
		oid := builtin[s.name()]
		s.unexpected = s.unexpected || oid == 0
		f.casts = append(f.casts, cast{n - 1, oid})
	}
	return n - 1
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
	if word[0] == '\'' && previous != "" && (previous[0] == '\'' || isOperand(previous)) {
		s.unexpected = true // a type and its value, or two texts
	}
	if isOperand(word) {
		return strings.Trim(word, `"`)
	}
	return ""
}

// isOperand tells whether a word is the name of something, and no keyword.
func isOperand(word string) bool {
	return (isLetter(word[0]) || word[0] == '"') && !slices.Contains(keywords, word) && !slices.Contains(beforeParenthesis, word)
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
