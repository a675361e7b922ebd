package domain

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxName is the limit of names, in characters.
const maxName = 200

// undecided is the key of what listings say when a name is not known yet.
const undecided = "ej fastställt"

// BandName is a band's name as it is shown. [ParseBandName] makes it.
type BandName string

// ParseBandName returns a name of 1 to 200 characters, tidied: in NFC, trimmed,
// with single spaces. "Ej fastställt" (not decided) is not a name.
func ParseBandName(s string) (BandName, error) {
	name, err := parseName(s)
	return BandName(name), err
}

// HallName is a dance hall's name as it is shown. [ParseHallName] makes it.
type HallName string

// ParseHallName is [ParseBandName] for halls; the rules are the same.
func ParseHallName(s string) (HallName, error) {
	name, err := parseName(s)
	return HallName(name), err
}

func parseName(s string) (string, error) {
	name, err := parseRequired("name", s, maxName)
	if err == nil && Key(name) == undecided {
		return "", invalid("name", "%q is not a name", name)
	}
	return name, err
}

// Origin is a place that a user starts from, such as the town they live in, in
// their own words. [ParseOrigin] makes it.
type Origin string

// ParseOrigin returns an origin of 1 to 200 characters, tidied like a name.
func ParseOrigin(s string) (Origin, error) {
	origin, err := parseRequired("origin", s, maxName)
	return Origin(origin), err
}

// maxSubject is the limit that OpenID Connect sets, in bytes.
const maxSubject = 255

// Subject identifies a user: the "sub" of their OpenID Connect token. It is
// opaque, so it is compared byte by byte, and it is personal data.
// [ParseSubject] makes it.
type Subject string

// ParseSubject returns s unchanged if it can be a subject: 1 to 255 bytes.
func ParseSubject(s string) (Subject, error) {
	switch {
	case strings.TrimSpace(s) == "":
		return "", invalid("subject", "must not be empty")
	case len(s) > maxSubject:
		return "", invalid("subject", "has %d bytes, the limit is %d", len(s), maxSubject)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl):
		return "", invalid("subject", "is not valid text")
	}
	return Subject(s), nil
}
