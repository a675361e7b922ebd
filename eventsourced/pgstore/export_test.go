package pgstore

import "github.com/dancefinder/eventsourcing/eventsourced"

// SelectionSQL is the query that reads the log, and its arguments.
func SelectionSQL(s *Store, query eventsourced.LogQuery) (sql string, arguments []any) {
	return s.sql.selection(query)
}

// CountingSQL is the one that counts it.
func CountingSQL(s *Store, query eventsourced.LogQuery) (sql string, arguments []any) {
	return s.sql.counting(query)
}

// FirstSQL are the queries that read the first event of many queries, of all events and by name.
func FirstSQL(s *Store) (all, named string) { return s.sql.fill(firstSQL), s.sql.fill(firstNamedSQL) }

// ReadStreamSQL is the query that reads a stream after a version.
func ReadStreamSQL(s *Store) string { return s.sql.readStream }

// LockSQL is the statement that takes the log's lock.
func LockSQL(s *Store) string { return s.sql.lock }

// Counted is what is counted of one transaction.
func Counted(stats AppendStats) (totals AppendTotals) {
	totals.add(stats)
	return totals
}
