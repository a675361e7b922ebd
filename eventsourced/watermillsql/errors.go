package watermillsql

import (
	"errors"
	"fmt"
	"strings"

	wsql "github.com/ThreeDotsLabs/watermill-sql/v3/pkg/sql"
)

// ErrPublish is returned by Publish of watermill-sql's Publisher with an [Adapter].
// Nothing is stored.
var ErrPublish = errors.New("the log takes events in its own order: publish with messaging.Publisher")

const (
	undefinedTable   = "42P01"
	invalidParameter = "22023"

	objectNotInPrerequisiteState = "55000"
)

const aheadAdvice = "the consumer is ahead of the log: its position is above the log's head, so the log was restored from a backup or replaced. " +
	"Bring the right log back, or set the position in the table consumers to where to go on"

const archivedAdvice = "events behind the consumer's position are in the archive, which SQL does not reach: read them with a messaging.Subscriber, " +
	"which may have the same group"

// raise returns a query that fails with the message when the condition, in SQL,
// holds. Watermill-sql has no other way for an adapter to fail.
func raise(condition, code, message string) wsql.Query {
	return wsql.Query{Query: "DO " + literal(fmt.Sprintf("BEGIN IF %s THEN RAISE EXCEPTION USING ERRCODE = %s, MESSAGE = %s; END IF; END",
		condition, literal(code), literal("watermillsql: "+message)))}
}

// missing returns a query that fails when the table is not there.
func missing(table, advice string) wsql.Query {
	return raise("to_regclass("+literal(table)+") IS NULL", undefinedTable, fmt.Sprintf("there is no table %s: %s", table, advice))
}

func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
