package pgstore

// ReadNamesSQL is the query that reads the events of some names.
func ReadNamesSQL(s *Store) string { return s.sql.readNames }
