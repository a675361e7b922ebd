// Package pgerr tells PostgreSQL's errors apart, in one place.
package pgerr

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Lost tells that the connection to the server was lost or refused: the outcome
// of what was sent on it is unknown.
func Lost(err error) bool {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		switch pgErr.Code {
		case "57P01", "57P02", "57P03", // shutdown, crash, not accepting yet
			"57P05", "25P03", "25P04": // idle session, idle in transaction, transaction timeouts
			return true
		}
		return strings.HasPrefix(pgErr.Code, "08")
	}
	var connectErr *pgconn.ConnectError
	var netErr net.Error
	// Not all that pgconn calls safe to retry: a connection that is busy is alive.
	return errors.As(err, &connectErr) ||
		errors.As(err, &netErr) && !pgconn.Timeout(err) && !errors.Is(err, context.DeadlineExceeded) || // which is a net.Error, too
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, pgconn.ErrConnClosed) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone)
}

// ReadOnly tells that the server, or the transaction, does not take writes: after a
// failover a pool keeps connections to what is a replica now. Those are to be given
// up: see pgxpool.Pool.Reset.
func ReadOnly(err error) bool { return Code(err) == "25006" }

// Retryable tells that the same work may succeed when it is done again as a
// whole: the connection was lost, a serialization failure, a deadlock, a lock
// timeout, or a server that is short of resources or read-only.
func Retryable(err error) bool {
	code := Code(err)
	switch code {
	case "40001", "40P01", "55P03", "25006", "58030": // the last one is an error of input or output
		return true
	}
	return strings.HasPrefix(code, "53") || Lost(err)
}

// OfServer tells that an error is about connections, states of transactions, permissions, databases,
// resources, the operator, the system, or what should not be: not about what a statement says.
func OfServer(err error) bool {
	code := Code(err)
	return code != "" && strings.Contains(" 08 25 28 3D 40 53 57 58 XX ", " "+code[:2]+" ")
}

// Code returns the SQLSTATE of err, "" when it is not the server's.
func Code(err error) string {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		return pgErr.Code
	}
	return ""
}

// Constraint returns the name of the constraint that err says is violated, or "".
func Constraint(err error) string {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		return pgErr.ConstraintName
	}
	return ""
}

// Detail returns what the server has added to err, which may have values of rows: it is in no error's text. "" if there is none.
func Detail(err error) string {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		return pgErr.Detail
	}
	return ""
}

// Deadlock tells that the server has ended a statement because others wait for its locks, as it for theirs.
func Deadlock(err error) bool { return Code(err) == "40P01" }

// Denied tells that the role lacks a right.
func Denied(err error) bool { return Code(err) == "42501" }

// Violated tells that a statement has violated a constraint.
func Violated(err error) bool { return strings.HasPrefix(Code(err), "23") }

// Taken tells that a statement has violated a unique constraint.
func Taken(err error) bool { return Code(err) == "23505" }

// Undefined tells that a statement names a table or a schema that is not there.
func Undefined(err error) bool { return Code(err) == "42P01" || Code(err) == "3F000" }

// UndefinedColumn tells that a statement names a column that is not there.
func UndefinedColumn(err error) bool { return Code(err) == "42703" }

// Canceled tells that the server ended a statement: after its statement_timeout, or because
// somebody wanted it to.
func Canceled(err error) bool { return Code(err) == "57014" }

// LockTimeout tells that a statement waited for a lock for as long as it may.
func LockTimeout(err error) bool { return Code(err) == "55P03" }

// DivisionByZero tells of what a statement does on purpose that has no other way to fail.
func DivisionByZero(err error) bool { return Code(err) == "22012" }

// OwnTable tells whether the error names one of these tables. Only its text does, in
// quotes, whatever the language.
func OwnTable(err error, tables ...string) bool {
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) {
		return false
	}
	for _, table := range tables {
		if strings.Contains(pgErr.Message, `"`+table+`"`) || strings.Contains(pgErr.Message, `.`+table+`"`) {
			return true
		}
	}
	return false
}
