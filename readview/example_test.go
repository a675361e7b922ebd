package readview_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dancefinder/eventsourcing/devservices"
	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/readview"
)

// A deposit is answered with a token; who sends the token along reads a balance that has the deposit.
func ExampleConsistency_Handler() {
	ctx := context.Background()
	server, err := devservices.StartPostgres(ctx, devservices.PostgresConfig{}) // yours is there already
	check(err)
	defer func() { check(server.Close()) }()
	pool, err := pgxpool.New(ctx, server.URL())
	check(err)
	defer pool.Close()
	check(migrate.Run(ctx, pool, migrate.Config{}, pgstore.Migrations(), readview.Migrations()))
	_, err = pool.Exec(ctx, tables)
	check(err)
	store := pgstore.New(pool, registry(), pgstore.Config{})
	defer store.Close()
	router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	check(err)
	manager, err := readview.NewManager(router, store, pool, readview.Config{})
	check(err)
	check(manager.Add(balances()))
	go func() { check(router.Run(ctx)) }()
	defer func() { check(router.Close()) }()
	<-router.Running()

	consistency, err := readview.NewConsistency(ctx, manager, pool, readview.ConsistencyConfig{
		Keys: [][]byte{[]byte(strings.Repeat("s", readview.MinKey))}, // a secret of all nodes
	})
	check(err)
	accounts := eventsourced.NewRepository[Account](store, "bank.Account", eventsourced.RepositoryConfig{})
	mux := http.NewServeMux()
	mux.HandleFunc("POST /deposit", func(w http.ResponseWriter, r *http.Request) {
		position, err := accounts.Update(r.Context(), "anna", func(a *Account) error { return eventsourced.Record(a, &Deposited{Amount: 5}) })
		check(err)
		w.Header().Set(readview.TokenHeader, consistency.Token(position))
	})
	mux.HandleFunc("GET /balance", func(w http.ResponseWriter, r *http.Request) {
		var amount int64
		check(pool.QueryRow(r.Context(), `SELECT amount FROM balance WHERE account = 'anna'`).Scan(&amount))
		_, _ = fmt.Fprint(w, amount)
	})
	handler := consistency.Handler(mux, func(*http.Request) []string { return []string{"balances"} })

	deposit := httptest.NewRecorder()
	handler.ServeHTTP(deposit, httptest.NewRequestWithContext(ctx, http.MethodPost, "/deposit", nil))
	balance := httptest.NewRecorder()
	request := httptest.NewRequestWithContext(ctx, http.MethodGet, "/balance", nil)
	request.Header.Set(readview.TokenHeader, deposit.Header().Get(readview.TokenHeader))
	handler.ServeHTTP(balance, request)
	fmt.Println(balance.Body, balance.Header().Get(readview.ConsistencyHeader))
	// Output: 5 satisfied
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
