package pgstore

// ReadNamesSQL is the query that reads the events of some names.
func ReadNamesSQL(s *Store) string { return s.sql.readNames }

// ReadStreamSQL is the query that reads a stream after a version.
func ReadStreamSQL(s *Store) string { return s.sql.readStream }
