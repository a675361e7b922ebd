package pipeline

// ParseInsert returns the statement for many rows of what query does for one, and
// which of its arguments are the key.
func ParseInsert(query string) (many string, key []int, ok bool) {
	f, ok := parseInsert(query)
	return f.many, f.target, ok
}

// ParseKeyed returns the statement for many rows of what query does for the row of a key, and the columns and arguments of that.
func ParseKeyed(query string) (many string, columns []string, key []int, ok bool) {
	f, ok := parseKeyed(query)
	return f.many, f.columns, f.arguments, ok
}

// KindOf says what a statement may do besides reading and writing rows.
func KindOf(query string) string {
	kind, _, _ := kindOf(query)
	return [...]string{"plain", "table", "savepoint", "local", "session", "copy in", "transaction"}[kind]
}
