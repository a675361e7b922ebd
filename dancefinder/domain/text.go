package domain

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"
	"golang.org/x/text/unicode/norm"
)

// Key returns what makes two spellings the same name: in Unicode's composed form
// (NFC), in lower case, with single spaces and without invisible characters. It
// accepts any string, and the key of a key is that key.
//
// Ids are derived from keys: a change here gives every band and hall a new id.
func Key(s string) string {
	return tidy(cases.Lower(language.Swedish).String(norm.NFC.String(visible(s))))
}

// Clean returns a text of somebody else's as it is read: in NFC, trimmed, with each run of
// white space as one space, and without invisible characters such as soft hyphens.
func Clean(s string) string { return tidy(visible(s)) }

func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, s)
}

// tidy returns s in NFC, trimmed, with each run of white space as one space.
func tidy(s string) string {
	return strings.Join(strings.Fields(norm.NFC.String(s)), " ")
}

// parseText returns a text of at most limit characters, tidied. It may be empty.
func parseText(field, s string, limit int) (string, error) {
	if !utf8.ValidString(s) {
		return "", invalid(field, "is not valid UTF-8")
	}
	s = tidy(s)
	if strings.ContainsFunc(s, unicode.IsControl) {
		return "", invalid(field, "must not contain control characters")
	}
	if n := utf8.RuneCountInString(s); n > limit {
		return "", invalid(field, "has %d characters, the limit is %d", n, limit)
	}
	return s, nil
}

// parseRequired is parseText for a text that must say something.
func parseRequired(field, s string, limit int) (string, error) {
	s, err := parseText(field, s, limit)
	if err == nil && Key(s) == "" {
		err = invalid(field, "must not be empty")
	}
	if err != nil {
		return "", err
	}
	return s, nil
}
