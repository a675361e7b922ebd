package pipeline

import "slices"

// textKind says what a statement does besides reading and writing rows, by its text.
type textKind int

// In the order in which they count: a text of several statements is of the highest.
const (
	plainText       textKind = iota // nothing
	tableText                       // it may change what a table is
	savepointText                   // a way back within the handler
	localText                       // something for the rest of the transaction, such as SET LOCAL
	sessionText                     // perhaps something that outlives the transaction, such as SET
	copyInText                      // COPY FROM STDIN
	transactionText                 // it begins or ends a transaction
)

// kindOf reads a text of one or several statements. calls are the names of what it
// calls, builtin functions and some words besides: a function may do what its caller
// does not show. tables are the names that may be of tables which it changes, for their
// triggers.
func kindOf(query string) (kind textKind, calls, tables []string) {
	l := lexer{text: query}
	for {
		words, end := l.statement()
		if len(words) > 0 {
			kind = max(kind, statementKind(words))
			calls = append(calls, called(words)...)
			tables = append(tables, changed(words)...)
		}
		if end {
			return kind, calls, tables
		}
	}
}

// changed returns the names that stand where a statement names the table it changes,
// with or without a schema.
func changed(words []string) (names []string) {
	for i, word := range words {
		if word != "into" && word != "update" && !(word == "from" && i > 0 && words[i-1] == "delete") && word != "truncate" {
			continue
		}
		names = append(names, words[i+1:min(len(words), i+6)]...) // ONLY schema.table
	}
	return names
}

// Statements that read and write rows or change tables, and those that ask for
// something of the session.
var (
	plainWords = []string{
		"insert", "update", "delete", "merge", "select", "with", "values", "table", "truncate", "comment", "lock",
		"notify", "explain", "refresh", "analyze", "vacuum", "cluster", "(",
	}
	tableWords   = []string{"alter", "drop", "grant", "revoke", "reindex", "security", "import"}
	sessionCalls = []string{
		"pg_advisory_lock", "pg_advisory_lock_shared", "pg_try_advisory_lock", "pg_try_advisory_lock_shared",
		"pg_advisory_unlock", "pg_advisory_unlock_shared", "pg_advisory_unlock_all", "setseed",
		"query_to_xml", "query_to_xmlschema", "query_to_xml_and_xmlschema", "pg_temp",
	}
	temporary = []string{"temp", "temporary"}
)

// statementKind tells what one statement is, of which there is a word at least.
func statementKind(words []string) textKind {
	second := ""
	if len(words) > 1 {
		second = words[1]
	}
	switch first := words[0]; {
	case slices.Contains([]string{"begin", "start", "commit", "end", "abort"}, first), first == "prepare" && second == "transaction":
		return transactionText
	case first == "rollback":
		if slices.Contains(words, "to") {
			return savepointText
		}
		return transactionText
	case first == "savepoint", first == "release":
		return savepointText
	case first == "set":
		if slices.Contains([]string{"local", "transaction", "constraints"}, second) {
			return localText
		}
		return sessionText
	case first == "declare":
		if follows(words, "with", "hold") {
			return sessionText
		}
		return localText
	case first == "fetch", first == "move", first == "close":
		return localText
	case first == "copy":
		if follows(words, "from", "stdin") {
			return copyInText
		}
		return plainText
	case first == "create":
		if slices.Contains(words, "pg_temp") {
			return sessionText
		}
		if !slices.ContainsFunc(words[1:min(len(words), 5)], func(word string) bool { return slices.Contains(temporary, word) }) {
			return tableText
		}
		if follows(words, "commit", "drop") {
			return localText
		}
		return sessionText
	case slices.Contains(tableWords, first):
		return tableText
	case !slices.Contains(plainWords, first):
		return sessionText
	}
	return callKind(words)
}

// callKind looks for functions that set something, in a statement that is plain
// otherwise.
func callKind(words []string) (kind textKind) {
	for i, word := range words {
		switch {
		case word == "set_config":
			kind = max(kind, setConfigKind(words[i+1:]))
		case slices.Contains(sessionCalls, word),
			word == "into" && slices.ContainsFunc(words[i+1:min(len(words), i+3)], func(w string) bool { return slices.Contains(temporary, w) }):
			kind = sessionText
		}
	}
	return kind
}

// setConfigKind reads the arguments of set_config, the last of which says whether it is
// for the transaction.
func setConfigKind(words []string) textKind {
	depth := 0
	for i, word := range words {
		switch word {
		case "(":
			depth++
		case ")":
			if depth--; depth == 0 && words[i-1] == "true" && words[i-2] == "," {
				return localText
			}
		}
		if depth <= 0 {
			break
		}
	}
	return sessionText
}

func follows(words []string, first, second string) bool {
	for i := range len(words) - 1 {
		if words[i] == first && words[i+1] == second {
			return true
		}
	}
	return false
}

// What may stand before a parenthesis without being called.
var notCalled = []string{"values", "in", "and", "or", "as", "set", "exists", "any", "all", "not", "where", "select", "from", "by", "on", "using", "conflict",
	"coalesce", "greatest", "least", "nullif", "when", "then", "else", "returning", "over", "filter", "array", "row", "cast"}

// called returns the words before a parenthesis.
func called(words []string) (names []string) {
	for i, word := range words {
		if word == "(" && i > 0 && (isLetter(words[i-1][0]) || words[i-1][0] >= 0x80) && (!slices.Contains(notCalled, words[i-1]) || i > 1 && words[i-2] == ".") && (i < 2 || words[i-2] != "into") {
			names = append(names, words[i-1])
		}
	}
	return names
}
