// Web is a wiki over HTTP: a command that waits until queries show it, a conflict as 409 (wiki.go), and a
// graceful end (main.go).
package main

import (
	"context"
	"errors"
	"flag"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dancefinder/eventsourcing/devservices"
	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/readview"
)

func main() {
	flag.Parse() // it takes none
	listener, err := net.Listen("tcp", "localhost:8080")
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	server, err := devservices.StartPostgres(ctx, devservices.PostgresConfig{})
	if err == nil {
		log.Print(`curl -i -X PUT -H 'If-Match: "0"' -d text=hello localhost:8080/pages/start`)
		err = errors.Join(run(ctx, server.URL(), listener), server.Close())
	}
	stop()
	if err != nil {
		log.Fatal(err)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, database string, listener net.Listener) error {
	pool, err := pgxpool.New(ctx, database)
	if err != nil {
		return err
	}
	defer pool.Close()
	if err := migrate.Run(ctx, pool, migrate.Config{}, pgstore.Migrations(), readview.Migrations()); err != nil {
		return err
	}
	if _, err := pool.Exec(ctx, pageTable); err != nil {
		return err
	}
	store := pgstore.New(pool, eventsourced.MustRegistry(eventsourced.Type[Written]("Written")), pgstore.Config{})
	defer store.Close()
	manager, err := readview.NewManager(nil, store, pool, readview.Config{}, readview.Projection{
		Name: "pages", Handlers: readview.Handlers{readview.On(onWritten)}, Tables: []string{"page"},
	})
	if err != nil {
		return err
	}
	w := wiki{pool, eventsourced.NewRepository[Page](store, "wiki.Page", eventsourced.RepositoryConfig{}), manager}
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /pages/{title}", w.write)
	mux.HandleFunc("GET /pages/{title}", w.read)
	server := &http.Server{Handler: mux, ReadTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second}
	return consumer.Run(ctx, manager, service{server, listener}) // the server ends first: its requests wait for the manager
}

// service is a server as a [consumer.Runner].
type service struct {
	*http.Server
	listener net.Listener
}

// Run serves until ctx ends and the last request has its answer.
func (s service) Run(ctx context.Context) error {
	shut := make(chan error, 1)
	context.AfterFunc(ctx, func() { shut <- s.Shutdown(context.WithoutCancel(ctx)) })
	err := s.Serve(s.listener)
	if errors.Is(err, http.ErrServerClosed) {
		err = <-shut
	}
	return err
}
