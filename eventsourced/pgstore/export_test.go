package pgstore

// ReadNamesSQL is the query that reads the events of some names.
func ReadNamesSQL(s *Store) string { return s.sql.readNames }

// ReadStreamSQL is the query that reads a stream after a version.
func ReadStreamSQL(s *Store) string { return s.sql.readStream }

// OrderedSQL are the queries whose rows have an order, with its columns.
func OrderedSQL(s *Store) map[string]string {
	return map[string]string{s.sql.readStream: "version", s.sql.readLog: "tstamp", s.sql.readName: "tstamp", s.sql.readNames: "tstamp"}
}

// LockSQL is the statement that takes the log's lock.
func LockSQL(s *Store) string { return s.sql.lock }
