package testdb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"

	"github.com/dancefinder/eventsourcing/devservices"
)

// Main is the body of a package's TestMain. It runs the tests, stops the private
// server if they started one, fails if a goroutine is left, and exits. A package
// without it leaves its private server to the end of the process, which is safe.
func Main(m *testing.M, options ...goleak.Option) {
	goleak.VerifyTestMain(suite{m}, options...)
}

type suite struct{ m *testing.M }

func (s suite) Run() int {
	code := s.m.Run()
	if err := atEnd(); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "testdb:", err)
		code = max(code, 1)
	}
	shared.Lock()
	defer shared.Unlock()
	if shared.server == nil {
		return code
	}
	if err := shared.server.stop(); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "testdb:", err)
		return max(code, 1)
	}
	return code
}

// AtEnd has Main call stop after the tests, for another server that they share. It
// is called from an init.
func AtEnd(stop func() error) {
	previous := atEnd
	atEnd = func() error { return errors.Join(stop(), previous()) }
}

var atEnd = func() error { return nil }

// shared is the server of this process: opened by the first test, stopped by Main.
var shared struct {
	sync.Mutex
	server *server
	err    error
}

func theServer(t testing.TB) *server {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.server == nil && shared.err == nil {
		shared.server, shared.err = openServer()
	}
	must(t, shared.err)
	return shared.server
}

type server struct {
	url      string
	admin    *pgxpool.Pool
	private  *devservices.Postgres // nil if the server is not ours
	sessions *sessions
}

func openServer() (*server, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	url := cmp.Or(os.Getenv("TEST_DATABASE_URL"), os.Getenv("DATABASE_URL"))
	var private *devservices.Postgres
	if url != "" {
		if err := dropLeftovers(ctx, url); err != nil {
			return nil, fmt.Errorf("the server of TEST_DATABASE_URL or DATABASE_URL: %w", err)
		}
	} else {
		var err error
		if private, err = devservices.StartPostgres(ctx, devservices.PostgresConfig{}); err != nil {
			return nil, fmt.Errorf("%w; or set TEST_DATABASE_URL to a running server", err)
		}
		url = private.URL()
	}
	admin, err := pgxpool.New(ctx, url)
	if err != nil {
		return nil, err
	}
	return &server{url: url, admin: admin, private: private, sessions: newSessions(admin.Config().ConnConfig)}, nil
}

func (s *server) execute(statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if _, err := s.admin.Exec(ctx, statement); err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	return nil
}

func (s *server) stop() error {
	s.admin.Close()
	s.sessions.close()
	if s.private == nil {
		return nil
	}
	return s.private.Close()
}

// Names tell the time at which they were made, for dropLeftovers.
const namePrefix = "testdb_"

func newName() string {
	return fmt.Sprintf("%s%d_%016x", namePrefix, time.Now().Unix(), rand.Uint64())
}

func isLeftover(name string) bool {
	seconds, _, _ := strings.Cut(strings.TrimPrefix(name, namePrefix), "_")
	made, err := strconv.ParseInt(seconds, 10, 64)
	return err == nil && time.Since(time.Unix(made, 0)) > time.Hour
}

// dropLeftovers drops the schemas and databases that earlier runs left. Of several
// processes that start at once, one does it. A drop that fails is left to the next.
func dropLeftovers(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }() // and with it the lock
	var alone bool
	if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock(hashtext('testdb leftovers'))`).Scan(&alone); err != nil || !alone {
		return err
	}
	rows, err := conn.Query(ctx, `
		SELECT nspname, 'DROP SCHEMA ' || nspname || ' CASCADE' FROM pg_namespace WHERE starts_with(nspname, $1)
		UNION ALL
		SELECT datname, 'DROP DATABASE ' || datname || ' WITH (FORCE)' FROM pg_database WHERE starts_with(datname, $1)`, namePrefix)
	if err != nil {
		return err
	}
	type leftover struct{ Name, Drop string }
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[leftover])
	if err != nil {
		return err
	}
	for _, candidate := range found {
		if isLeftover(candidate.Name) {
			_, _ = conn.Exec(ctx, candidate.Drop)
		}
	}
	return nil
}
