// Package shadow makes shadows of tables, in a schema of their own: tables of the same names and definitions, which
// whoever has that schema first in the search path writes in place of the live ones. It compares the two, brings
// the live tables to the content of their shadows, or puts those in their place. Of events and positions it knows nothing.
//
//	set, err := shadow.Describe(ctx, conn, tables, shadow.Config{})   what there is; what can't have a shadow is refused by name
//	set.Clone(ctx, conn, schema, full)                             made, in the caller's transaction
//	... statements run with set.Path(schema) ...
//	shadow.Escapes(...)                                            each time: did they go where they should?
//	set.Diff(ctx, conn, schema)                                    rows that differ, into temporary tables
//	set.Write(ctx, conn, ...)                                      the live tables become equal; or
//	shadow.OldSnapshots, set.Swap                                  they change places
//
// # How a table is cloned
//
// The server prints a definition without the schemas that the search path shows. So it is printed with the live path, and
// executed with the shadow before that: what refers to the tables themselves, their sequences and each other then
// refers to the shadows, everything else to what it did, and no text is replaced. The clone is printed in turn, with the shadow
// in the path, and has to be the same text.
//
// CREATE TABLE LIKE makes the columns only: it gives indexes and constraints names of its own, and leaves
// the default of a serial with the live sequence.
//
// # How the live tables become equal
//
// The rows that differ are written, in one transaction, and nothing else is touched: no definition changes, no reader waits, and each snapshot
// has all of the old rows or all of the new ones. Rows are compared as records, byte by byte of their values, which
// works for every type.
//
//	form       deleted     updated      inserted     for
//	inPlace    extra       different    missing      the ordinary case
//	parents    extra, last different    missing, first   rows that refer to what is to come
//	replace    all that differ in what a constraint looks at,    unique values and numbers that move between rows, cascades;
//	           and all that refer to those, and so on            identities, which can't be updated
//
// They are tried in this order, each from a savepoint, until the tables are equal: a cascade may have taken rows along without an error. After the
// last one, triggers have had their own way, and the transaction fails.
//
// Rows of other tables are never changed: before anything is written, those are looked for that refer to rows which are to go, and named. What may is a
// key that follows the row that it refers to (ON UPDATE CASCADE).
package shadow
