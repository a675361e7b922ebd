package pgerr

import "strings"

// Text makes a text column take any error's text: valid, without NUL, and not
// endless.
func Text(text string) string {
	const limit = 8 << 10
	if len(text) > limit {
		text = text[:limit] + " ..."
	}
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}
