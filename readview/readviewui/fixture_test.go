package readviewui_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/internal/bank"
	"github.com/dancefinder/eventsourcing/internal/testdb"
	"github.com/dancefinder/eventsourcing/readview"
	"github.com/dancefinder/eventsourcing/readview/readviewui"
)

func TestMain(m *testing.M) { testdb.Main(m) }

// site is the page of a bank with two projections, of which "accounts" takes no more than 100.
type site struct {
	t        *testing.T
	pool     *pgxpool.Pool
	store    *pgstore.Store
	accounts *eventsourced.Repository[bank.Account]
	manager  *readview.Manager
	handler  *readviewui.Handler
	url      string
	stop     func() // ends the manager's run
}

const tables = `
	CREATE TABLE account (id TEXT PRIMARY KEY, amount BIGINT NOT NULL, CHECK (amount <= 100));
	CREATE TABLE total (one INT PRIMARY KEY, amount BIGINT NOT NULL)`

func projections() []readview.Projection {
	account := func(ctx context.Context, tx readview.Tx, e *bank.Deposited) error {
		return readview.Exec(ctx, tx, `INSERT INTO account AS a (id, amount) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET amount = a.amount + EXCLUDED.amount`, e.AggregateID(), e.Amount)
	}
	total := func(ctx context.Context, tx readview.Tx, e *bank.Deposited) error {
		return readview.Exec(ctx, tx, `INSERT INTO total AS t (one, amount) VALUES (1, $1) ON CONFLICT (one) DO UPDATE SET amount = t.amount + EXCLUDED.amount`, e.Amount)
	}
	return []readview.Projection{
		{Name: "accounts", Handlers: readview.Handlers{readview.On(account)}, Tables: []string{"account"}, Reset: readview.Truncate("account")},
		{Name: "total", Handlers: readview.Handlers{readview.On(total)}, Tables: []string{"total"}, Reset: readview.Truncate("total")},
	}
}

// operators are those who may do everything: whoever names himself.
func operators(r *http.Request, _ readviewui.Action) (string, error) {
	if name := r.Header.Get("X-Operator"); name != "" {
		return name, nil
	}
	return "", errors.New("the secret reason")
}

func newSite(t *testing.T, config readviewui.Config) *site {
	t.Helper()
	db := testdb.New(t, testdb.MaxConns(20))
	require.NoError(t, migrate.Run(t.Context(), db.Pool, migrate.Config{}, pgstore.Migrations(), readview.Migrations(), consumer.Migrations()))
	_, err := db.Pool.Exec(t.Context(), tables)
	require.NoError(t, err)
	s := &site{t: t, pool: db.Pool}
	s.store = pgstore.New(db.Pool, bank.Registry(), pgstore.Config{})
	t.Cleanup(s.store.Close)
	s.accounts = bank.Accounts(s.store)
	quiet := slog.New(slog.DiscardHandler)
	s.manager, err = readview.NewManager(nil, s.store, db.Pool, readview.Config{Config: consumer.Config{Logger: quiet, BackOff: time.Millisecond, Node: "node-a"}}, projections()...)
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- s.manager.Run(ctx) }()
	s.stop = sync.OnceFunc(func() {
		stop()
		require.NoError(t, <-ended)
	})
	t.Cleanup(s.stop)
	if config.Logger == nil {
		config.Logger = quiet
	}
	s.handler, err = readviewui.New(s.manager, s.store, db.Pool, config)
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.Handle("/admin/", s.handler)
	server := httptest.NewServer(mux)
	s.url = server.URL + "/admin/"
	t.Cleanup(server.Close)
	t.Cleanup(s.handler.Close)
	return s
}

// elsewhere returns a page of another process, which has the manager.
func (s *site) elsewhere(manager *readview.Manager, path string) string {
	s.t.Helper()
	handler, err := readviewui.New(manager, s.store, s.pool, readviewui.Config{})
	require.NoError(s.t, err)
	s.t.Cleanup(handler.Close)
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequestWithContext(s.t.Context(), http.MethodGet, "/admin/"+path, nil))
	return answer.Body.String()
}

// deposit appends an event, and returns its position.
func (s *site) deposit(account string, amount int64) eventsourced.Position {
	s.t.Helper()
	at, err := s.accounts.Update(s.t.Context(), account, func(a *bank.Account) error { return eventsourced.Record(a, &bank.Deposited{Amount: amount}) })
	require.NoError(s.t, err)
	return at
}

// until waits until a projection is as it should be.
func (s *site) until(name string, is func(consumer.Status) bool) consumer.Status {
	s.t.Helper()
	var found consumer.Status
	require.Eventually(s.t, func() bool {
		all, err := s.manager.Status(s.t.Context())
		require.NoError(s.t, err)
		for _, status := range all {
			if status.Name == name {
				found = status
			}
		}
		return is(found)
	}, 20*time.Second, 20*time.Millisecond, "%s is %+v", name, found)
	return found
}

func failed(s consumer.Status) bool { return s.State == consumer.Failed }

// send sends a request, and returns the answer with its text. It follows no redirect.
func (s *site) send(method, path string, form url.Values, headers ...string) (*http.Response, string) {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(form.Encode()))
	require.NoError(s.t, err)
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	require.NoError(s.t, err)
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	require.NoError(s.t, err)
	return response, string(text)
}
