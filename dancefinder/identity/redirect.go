package identity

import (
	"net/http"
	"net/url"
	"strings"
	"unicode"
)

// maxForm is the longest body of a login, in bytes.
const maxForm = 16 << 10

const maxNext = 2 << 10

// redirect leads to a path of this server and nowhere else.
func redirect(w http.ResponseWriter, next string) {
	w.Header().Set("Location", localPath(next))
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusSeeOther)
}

// localPath returns next if every browser takes it for a path of this server, else "/". Browsers
// read a backslash as a slash, and drop tabs and line breaks.
func localPath(next string) string {
	parsed, err := url.Parse(next)
	switch {
	case err != nil || len(next) > maxNext,
		!strings.HasPrefix(next, "/"),
		parsed.IsAbs() || parsed.Host != "" || parsed.User != nil || parsed.Opaque != "",
		strings.Contains(parsed.Path, "//") || strings.ContainsAny(next, `\`) || strings.Contains(parsed.Path, `\`),
		strings.ContainsFunc(next, func(r rune) bool { return r <= ' ' || unicode.IsControl(r) || r == unicode.ReplacementChar }):
		return "/"
	}
	return parsed.String() // what is not ASCII is escaped
}
