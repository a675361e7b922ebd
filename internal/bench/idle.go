package main

import (
	"context"
	"database/sql"
)

// idleTx is a transaction that does nothing, to see what a handler costs by
// itself.
type idleTx struct{}

func (idleTx) ExecContext(context.Context, string, ...any) (sql.Result, error) { return nil, nil }

func (idleTx) QueryContext(context.Context, string, ...any) (*sql.Rows, error) { return nil, nil }

func (idleTx) QueryRowContext(context.Context, string, ...any) *sql.Row { return nil }

func (idleTx) PrepareContext(context.Context, string) (*sql.Stmt, error) { return nil, nil }
