package migrate

import "errors"

// ErrNewer is returned by [Run] and [Pending] when the database has migrations that the program
// does not know: a newer version of it was here. What its tables mean is not known either, so
// nothing was changed. Run that version.
var ErrNewer = errors.New("the database's tables are newer than this program")
