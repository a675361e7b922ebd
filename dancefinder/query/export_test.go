package query

import "github.com/jackc/pgx/v5"

// NewOn returns a reader on one connection.
func NewOn(conn *pgx.Conn) *Reader { return &Reader{db: conn} }
