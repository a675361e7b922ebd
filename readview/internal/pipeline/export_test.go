package pipeline

// ParseInsert returns the statement for many rows of what query does for one, and
// which of its arguments are the key.
func ParseInsert(query string) (many string, key []int, ok bool) {
	i, ok := parseInsert(query)
	return i.many, i.key, ok
}

// KindOf says what a statement may do besides reading and writing rows.
func KindOf(query string) string {
	kind, _, _ := kindOf(query)
	return [...]string{"plain", "table", "savepoint", "local", "session", "copy in", "transaction"}[kind]
}
