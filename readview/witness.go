package readview

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// ownKey marks the contexts of the framework's own statements; those of handlers have an
// event besides.
type ownKey struct{}

// witness notes what a handler does on its connection: it is a tracer of pgx.
type witness struct {
	mu         sync.Mutex
	statements []Statement
	changes    []Change
	unseen     []string
	prepared   map[string]string // by name
}

var (
	_ pgx.QueryTracer    = (*witness)(nil)
	_ pgx.BatchTracer    = (*witness)(nil)
	_ pgx.PrepareTracer  = (*witness)(nil)
	_ pgx.CopyFromTracer = (*witness)(nil)
)

type statementKey struct{}

func (w *witness) change(text []byte) {
	var c Change
	if json.Unmarshal(text, &c) == nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.changes = append(w.changes, c)
	}
}

// start notes a statement if a handler executes it, and returns a context that tells its end
// which one it is.
func (w *witness) start(ctx context.Context, sql string, args []any) context.Context {
	if ctx.Value(ownKey{}) != nil && eventsourced.FromContext(ctx) == nil {
		return ctx
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if text, known := w.prepared[sql]; known {
		sql = text
	}
	w.statements = append(w.statements, Statement{SQL: sql, Args: argumentTexts(args)})
	return context.WithValue(ctx, statementKey{}, len(w.statements)-1)
}

func (w *witness) end(ctx context.Context, rows int64, err error) {
	i, ours := ctx.Value(statementKey{}).(int)
	if !ours {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.statements[i].Rows = rows
	if err != nil {
		w.statements[i].Error = err.Error()
	}
}

// TraceQueryStart implements [pgx.QueryTracer].
func (w *witness) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	return w.start(ctx, data.SQL, data.Args)
}

// TraceQueryEnd implements [pgx.QueryTracer].
func (w *witness) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	w.end(ctx, data.CommandTag.RowsAffected(), data.Err)
}

// TraceBatchStart implements [pgx.BatchTracer].
func (w *witness) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}

// TraceBatchQuery implements [pgx.BatchTracer].
func (w *witness) TraceBatchQuery(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchQueryData) {
	w.end(w.start(ctx, data.SQL, data.Args), data.CommandTag.RowsAffected(), data.Err)
}

// TraceBatchEnd implements [pgx.BatchTracer].
func (w *witness) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

// TracePrepareStart implements [pgx.PrepareTracer].
func (w *witness) TracePrepareStart(ctx context.Context, _ *pgx.Conn, data pgx.TracePrepareStartData) context.Context {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.prepared == nil {
		w.prepared = map[string]string{}
	}
	w.prepared[data.Name] = data.SQL
	return ctx
}

// TracePrepareEnd implements [pgx.PrepareTracer].
func (w *witness) TracePrepareEnd(context.Context, *pgx.Conn, pgx.TracePrepareEndData) {}

// TraceCopyFromStart implements [pgx.CopyFromTracer].
func (w *witness) TraceCopyFromStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceCopyFromStartData) context.Context {
	return w.start(ctx, "COPY "+data.TableName.Sanitize()+" ("+strings.Join(data.ColumnNames, ", ")+") FROM STDIN", nil)
}

// TraceCopyFromEnd implements [pgx.CopyFromTracer].
func (w *witness) TraceCopyFromEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceCopyFromEndData) {
	w.end(ctx, data.CommandTag.RowsAffected(), data.Err)
}

// plain returns what a value is for the database, or itself if it does not tell.
func plain(value driver.Valuer) (arg any) {
	defer func() {
		if recover() != nil { // a nil pointer
			arg = nil
		}
	}()
	if plain, err := value.Value(); err == nil {
		return plain
	}
	return value
}

// argumentTexts returns arguments for people to read.
func argumentTexts(args []any) (texts []string) {
	for _, arg := range args {
		switch value := arg.(type) {
		case pgx.QueryExecMode, pgx.QueryResultFormats, pgx.QueryResultFormatsByOID, pgx.QueryRewriter: // no arguments
			continue
		case driver.Valuer:
			arg = plain(value)
		}
		switch value := arg.(type) {
		case nil:
			texts = append(texts, "NULL")
		case []byte:
			if utf8.Valid(value) {
				texts = append(texts, string(value))
			} else {
				texts = append(texts, fmt.Sprintf("\\x%x", value))
			}
		case time.Time:
			texts = append(texts, value.Format(time.RFC3339Nano))
		default:
			texts = append(texts, fmt.Sprint(value))
		}
	}
	return texts
}
