package listing

// For fuzzing without a listing around them.

var ParseTime = parseTime

// ParseDate parses a date that follows the month header, if any.
func ParseDate(header, text string) (date string, err error) {
	var c calendar
	c.header(header)
	return c.parse(text)
}
