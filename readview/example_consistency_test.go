package readview_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/dancefinder/eventsourcing/readview"
)

// A deposit is answered with a token; who sends the token along reads a balance that has the deposit.
func ExampleConsistency_Handler() {
	ctx := context.Background()
	b := newExampleBank(accountProjection)
	defer b.end()
	consistency, err := readview.NewConsistency(ctx, b.manager, b.pool, readview.ConsistencyConfig{
		Keys: [][]byte{[]byte(strings.Repeat("s", readview.MinKey))}, // a secret of all nodes
	})
	check(err)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /deposit", func(w http.ResponseWriter, _ *http.Request) {
		position := b.deposit("anna", 5)
		w.Header().Set(readview.TokenHeader, consistency.Token(position))
	})
	mux.HandleFunc("GET /balance", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, b.amount("anna"))
	})
	handler := consistency.Handler(mux, func(*http.Request) []string { return []string{"accounts"} })

	deposit := httptest.NewRecorder()
	handler.ServeHTTP(deposit, httptest.NewRequestWithContext(ctx, http.MethodPost, "/deposit", nil))
	balance := httptest.NewRecorder()
	request := httptest.NewRequestWithContext(ctx, http.MethodGet, "/balance", nil)
	request.Header.Set(readview.TokenHeader, deposit.Header().Get(readview.TokenHeader))
	handler.ServeHTTP(balance, request)
	fmt.Println(balance.Body, balance.Header().Get(readview.ConsistencyHeader))
	// Output: 5 satisfied
}
