package pgstore

import (
	"errors"
	"fmt"
	"strings"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/internal/migrate"
	"github.com/dancefinder/eventsourcing/internal/pgerr"
)

// ErrNewerTables is returned by [Migrate] and [Pending] when a newer version of this
// package has changed the database's tables. Run that version.
var ErrNewerTables = migrate.ErrNewer

// ErrIsolation is returned by [Store.AppendTx], and by [Store.Append] where the
// server's default_transaction_isolation was changed. At REPEATABLE READ or
// SERIALIZABLE a transaction does not see what was committed after its start,
// so it can't tell which position is next. Nothing was appended.
var ErrIsolation = errors.New("an append must run at READ COMMITTED")

// ErrProtocol is returned by appends and reads over a pool in a mode of pgx that
// does not ask the server for the types of a statement:
// QueryExecModeSimpleProtocol and QueryExecModeExec. Behind a pooler that can't keep prepared statements use
// QueryExecModeCacheDescribe.
var ErrProtocol = errors.New("the connection's query mode does not do: use pgx.QueryExecModeCacheStatement or QueryExecModeCacheDescribe")

// translate gives the server's errors our names.
func translate(err error) error {
	switch pgerr.Constraint(err) {
	case "events_stream_key":
		// Not under the log's lock: somebody wrote to the table by other means.
		return fmt.Errorf("%w: %w", eventsourced.ErrConflict, err)
	case "events_id_key":
		return fmt.Errorf("%w: %w", eventsourced.ErrDuplicateID, err)
	}
	switch code := pgerr.Code(err); {
	case code == "42P01":
		return fmt.Errorf("%w (the log's tables are made by pgstore.Migrate)", err)
	case strings.HasPrefix(code, "22"): // data exception: not JSON, not UTF-8
		return fmt.Errorf("%w: %w", eventsourced.ErrInvalid, err)
	}
	return err
}
