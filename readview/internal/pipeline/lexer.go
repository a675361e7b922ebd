package pipeline

import (
	"slices"
	"strings"
)

// lexer splits a text into words as PostgreSQL does, so that a string or a comment is
// not taken for a statement.
type lexer struct {
	text string
	at   int
}

// statement returns the words up to the next semicolon or the end: names and keywords
// in lower case, quoted names without their quotes, strings as "'", and single
// characters.
func (l *lexer) statement() (words []string, end bool) {
	for {
		switch word := l.word(); word {
		case "":
			return words, true
		case ";":
			return words, false
		default:
			words = append(words, word)
		}
	}
}

func (l *lexer) word() string {
	l.space()
	if l.at >= len(l.text) {
		return ""
	}
	begin := l.at
	c := l.text[begin]
	switch {
	case isLetter(c) || c >= 0x80:
		for l.at < len(l.text) && (isLetter(l.text[l.at]) || isDigit(l.text[l.at]) || l.text[l.at] == '$' || l.text[l.at] >= 0x80) {
			l.at++
		}
		word := strings.ToLower(l.text[begin:l.at])
		if l.at < len(l.text) && l.text[l.at] == '\'' && slices.Contains([]string{"e", "b", "x", "n"}, word) {
			l.quoted('\'', word == "e")
			return "'"
		}
		return word
	case c == '\'':
		l.quoted('\'', false)
		return "'"
	case c == '"':
		l.quoted('"', false)
		if name := strings.Trim(l.text[begin:l.at], `"`); name != "" {
			return name
		}
		return `"`
	case c == '$':
		return l.dollar()
	}
	l.at++
	return l.text[begin:l.at]
}

// space passes over white space and comments, which nest.
func (l *lexer) space() {
	for l.at < len(l.text) {
		rest := l.text[l.at:]
		switch {
		case strings.IndexByte(" \t\r\n\f\v", rest[0]) >= 0:
			l.at++
		case strings.HasPrefix(rest, "--"):
			l.at += len(rest)
			if line := strings.IndexAny(rest, "\r\n"); line >= 0 {
				l.at += line - len(rest)
			}
		case strings.HasPrefix(rest, "/*"):
			l.comment()
		default:
			return
		}
	}
}

func (l *lexer) comment() {
	for depth := 0; l.at < len(l.text); {
		rest := l.text[l.at:]
		switch {
		case strings.HasPrefix(rest, "/*"):
			depth++
			l.at += 2
		case strings.HasPrefix(rest, "*/"):
			depth--
			l.at += 2
		default:
			l.at++
		}
		if depth == 0 {
			return
		}
	}
}

// quoted passes over what begins with a quote. Two quotes are one that does not end it.
func (l *lexer) quoted(quote byte, escapes bool) {
	for l.at++; l.at < len(l.text); l.at++ {
		switch c := l.text[l.at]; {
		case c == '\\' && escapes:
			l.at++
		case c == quote && l.at+1 < len(l.text) && l.text[l.at+1] == quote:
			l.at++
		case c == quote:
			l.at++
			return
		}
	}
	l.at = len(l.text)
}

// dollar reads an argument such as $1, or a string such as $tag$text$tag$.
func (l *lexer) dollar() string {
	begin := l.at
	end := begin + 1
	for end < len(l.text) && (isLetter(l.text[end]) || isDigit(l.text[end]) || l.text[end] >= 0x80) {
		end++
	}
	if end == len(l.text) || l.text[end] != '$' || end > begin+1 && isDigit(l.text[begin+1]) {
		l.at = end
		return l.text[begin:end]
	}
	tag := l.text[begin : end+1]
	l.at = len(l.text)
	if length := strings.Index(l.text[end+1:], tag); length >= 0 {
		l.at = end + 1 + length + len(tag)
	}
	return "'"
}
