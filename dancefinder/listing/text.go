package listing

import "strings"

// plain makes the many dashes and slashes of typesetters those of a keyboard, and
// letters small, so that dates and times have to be known in one spelling only.
func plain(s string) string { return strings.ToLower(keyboard.Replace(s)) }

var keyboard = strings.NewReplacer(
	"\u2010", "-", "\u2011", "-", "\u2012", "-", "\u2013", "-", "\u2014", "-", "\u2015", "-",
	"\u2212", "-", "\u2043", "-", "\ufe58", "-", "\ufe63", "-", "\uff0d", "-",
	"\u2044", "/", "\u2215", "/",
)

// dashes is a class of a pattern for text that plain has not seen.
const dashes = `[-\x{2010}-\x{2015}\x{2212}\x{2043}\x{fe58}\x{fe63}\x{ff0d}]`

// extra leaves out what a listing puts where nothing is said: an arrow is a link to
// more on another page.
func extra(s string) string {
	if strings.Trim(s, ">»›→ ") == "" {
		return ""
	}
	return s
}
