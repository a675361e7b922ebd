package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wsql "github.com/ThreeDotsLabs/watermill-sql/v3/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5/stdlib"
)

// stock lets the Subscriber of watermill-sql apply n events, on a router as ours,
// with a handler that writes in the Subscriber's transaction.
func (e *environment) stock(ctx context.Context, n int) (float64, error) {
	if err := e.clear(ctx, 0); err != nil {
		return 0, err
	}
	if _, err := e.pool.Exec(ctx, `INSERT INTO readviews VALUES ('balances', 0)`); err != nil {
		return 0, err
	}
	db := stdlib.OpenDBFromPool(e.pool)
	defer func() { _ = db.Close() }()
	subscriber, err := wsql.NewSubscriber(db, wsql.SubscriberConfig{
		ConsumerGroup:  "balances",
		PollInterval:   10 * time.Millisecond,
		SchemaAdapter:  logSchema{},
		OffsetsAdapter: readviewsOffsets{},
	}, watermill.NopLogger{})
	if err != nil {
		return 0, err
	}
	router := message.NewDefaultRouter(watermill.NopLogger{})
	applied, done := 0, make(chan struct{})
	finish := sync.OnceFunc(func() { close(done) })
	router.AddConsumerHandler("balances", "Deposited", subscriber, func(msg *message.Message) error {
		if applied == n { // one of the next page: the pages before are committed
			finish()
			return errEnough
		}
		if err := applyStock(msg); err != nil {
			return err
		}
		applied++
		return nil
	})
	ran := make(chan error, 1)
	value, err := rate(n, func() error {
		go func() { ran <- router.Run(ctx) }()
		select {
		case <-done:
			return nil
		case err := <-ran:
			return errors.Join(errors.New("the router stopped"), err)
		}
	})
	if err != nil {
		return 0, err
	}
	return value, errors.Join(router.Close(), <-ran) // it takes long, with a message refused
}

var errEnough = errors.New("all are applied")

func applyStock(msg *message.Message) error {
	tx, ok := wsql.TxFromContext(msg.Context())
	if !ok {
		return fmt.Errorf("the message has no transaction")
	}
	var event Deposited
	if err := json.Unmarshal(msg.Payload, &event); err != nil {
		return err
	}
	_, err := tx.ExecContext(msg.Context(), upsert, msg.Metadata.Get("aggregate_id"), event.Amount)
	return err
}

// logSchema has watermill-sql read our log.
type logSchema struct{ wsql.DefaultPostgreSQLSchema }

func (logSchema) SchemaInitializingQueries(string) []wsql.Query { return nil }

func (logSchema) SelectQuery(topic, group string, offsets wsql.OffsetsAdapter) wsql.Query {
	next := offsets.NextOffsetQuery(topic, group)
	return wsql.Query{
		Query: `WITH at AS MATERIALIZED (` + next.Query + `)
			SELECT tstamp, id::text, payload, aggregate_id FROM events
			WHERE name = $2 AND tstamp > (SELECT position FROM at) ORDER BY tstamp LIMIT 100`, // as its own adapter does
		Args: append(next.Args, topic),
	}
}

func (logSchema) UnmarshalMessage(scanner wsql.Scanner) (wsql.Row, error) {
	var (
		row         wsql.Row
		payload     []byte
		id, account string
	)
	if err := scanner.Scan(&row.Offset, &id, &payload, &account); err != nil {
		return wsql.Row{}, err
	}
	row.UUID, row.Payload = []byte(id), payload
	row.Msg = message.NewMessage(id, payload)
	row.Msg.Metadata.Set("aggregate_id", account)
	return row, nil
}

// readviewsOffsets has it keep its position in readviews.
type readviewsOffsets struct{}

func (readviewsOffsets) SchemaInitializingQueries(string) []wsql.Query        { return nil }
func (readviewsOffsets) BeforeSubscribingQueries(string, string) []wsql.Query { return nil }

func (readviewsOffsets) ConsumedMessageQuery(string, wsql.Row, string, []byte) wsql.Query {
	return wsql.Query{}
}

func (readviewsOffsets) NextOffsetQuery(_, group string) wsql.Query {
	return wsql.Query{Query: `SELECT position FROM readviews WHERE name = $1 FOR UPDATE`, Args: []any{group}}
}

func (readviewsOffsets) AckMessageQuery(_ string, row wsql.Row, group string) wsql.Query {
	return wsql.Query{Query: `UPDATE readviews SET position = $2 WHERE name = $1`, Args: []any{group, row.Offset}}
}
