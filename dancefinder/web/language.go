package web

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
)

// language is what the page speaks. Its tables have the same keys.
type language struct {
	Tag      string // of HTML's lang
	words    map[string]string
	weekdays [7]string // from Sunday
	short    [7]string // the same
	months   [12]string
	clock    string // what stands between hours and minutes
}

var (
	swedish = &language{
		Tag: "sv", words: swedishWords, clock: ".",
		weekdays: [7]string{"söndag", "måndag", "tisdag", "onsdag", "torsdag", "fredag", "lördag"},
		short:    [7]string{"sön", "mån", "tis", "ons", "tor", "fre", "lör"},
		months:   [12]string{"januari", "februari", "mars", "april", "maj", "juni", "juli", "augusti", "september", "oktober", "november", "december"},
	}
	english = &language{
		Tag: "en", words: englishWords, clock: ":",
		weekdays: [7]string{"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"},
		short:    [7]string{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"},
		months:   [12]string{"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"},
	}
)

// languageFor returns the language for a tag (BCP 47). A link in a language that the page
// does not have is still a link to dances.
func languageFor(tag string) *language {
	primary, _, _ := strings.Cut(strings.ReplaceAll(tag, "_", "-"), "-")
	if strings.EqualFold(primary, english.Tag) {
		return english
	}
	return swedish
}

func (l *language) other() *language {
	if l == swedish {
		return english
	}
	return swedish
}

// T returns a text, with arguments in the places that it has for them.
func (l *language) T(key string, args ...any) string {
	text, ok := l.words[key]
	if !ok {
		return key
	}
	if len(args) == 0 {
		return text
	}
	return fmt.Sprintf(text, args...)
}

// N returns the text for a number: the one of key.1 for one, else that of key.n.
func (l *language) N(key string, n int, args ...any) string {
	if n == 1 {
		return l.T(key+".1", append([]any{"1"}, args...)...)
	}
	return l.T(key+".n", append([]any{l.Number(n)}, args...)...)
}

// Number returns n with its thousands apart.
func (l *language) Number(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "\u00a0" + digits[i:]
	}
	return digits
}

// Dances returns "7 danser".
func (l *language) Dances(n int) string { return l.N("dances", n) }

// Day returns "lördag 28 november".
func (l *language) Day(d domain.Date) string {
	t := d.Time()
	return l.weekdays[t.Weekday()] + " " + l.date(t)
}

// Date returns "28 november".
func (l *language) Date(d domain.Date) string { return l.date(d.Time()) }

func (l *language) date(t time.Time) string {
	return strconv.Itoa(t.Day()) + " " + l.months[t.Month()-1]
}

// ShortDay returns "lör 28".
func (l *language) ShortDay(d domain.Date) string {
	return l.short[d.Time().Weekday()] + " " + strconv.Itoa(d.Time().Day())
}

// Weekday returns "lör".
func (l *language) Weekday(d domain.Date) string { return l.short[d.Time().Weekday()] }

// Days returns a period: "26 november – 2 december".
func (l *language) Days(from, to domain.Date) string {
	if from == to {
		return upper(l.Day(from))
	}
	first := l.Date(from)
	if from[:4] != to[:4] {
		first += " " + string(from[:4])
		return first + " – " + l.Date(to) + " " + string(to[:4])
	}
	return first + " – " + l.Date(to)
}

// Clock returns a time of day as it is written.
func (l *language) Clock(c domain.Clock) string { return strings.Replace(string(c), ":", l.clock, 1) }

// List returns "Mora, Falun och Orsa".
func (l *language) List(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " " + l.T("and") + " " + names[len(names)-1]
}

// upper returns s with a capital first letter.
func upper(s string) string {
	for i, r := range s {
		return strings.ToUpper(string(r)) + s[i+len(string(r)):]
	}
	return s
}

// commas returns "Mora, Falun".
func (l *language) commas(names []string) string { return strings.Join(names, ", ") }
