// Remote is two bounded contexts with RabbitMQ between them: a library (library.go) lends books, and a
// bookshop (bookshop.go), with a database of its own, shows what is lent. Each is a process; started
// without arguments, this one starts them and the servers they need.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dancefinder/eventsourcing/devservices"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var err error
	switch {
	case len(os.Args) == 4 && os.Args[1] == "library":
		err = onDatabase(ctx, os.Args[2], os.Args[3], library)
	case len(os.Args) == 4 && os.Args[1] == "bookshop":
		err = onDatabase(ctx, os.Args[2], os.Args[3], bookshop)
	default:
		err = run(ctx, os.Args[0], os.Stdout)
	}
	stop()
	if err != nil {
		log.Fatal(err)
	}
}

func onDatabase(ctx context.Context, database, broker string, do func(context.Context, *pgxpool.Pool, string) error) error {
	pool, err := pgxpool.New(ctx, database)
	if err != nil {
		return err
	}
	defer pool.Close()
	return do(ctx, pool, broker)
}

// run runs both processes on private servers: program is this one.
func run(ctx context.Context, program string, out io.Writer) (err error) {
	postgres, err := devservices.StartPostgres(ctx, devservices.PostgresConfig{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, postgres.Close()) }()
	rabbitMQ, err := devservices.StartRabbitMQ(ctx, devservices.RabbitMQConfig{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rabbitMQ.Close()) }()

	process := func(name string) (*exec.Cmd, error) {
		database, err := newDatabase(ctx, postgres.URL(), name)
		command := exec.CommandContext(ctx, program, name, database, rabbitMQ.URL())
		command.Stdout, command.Stderr = out, os.Stderr
		command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
		return command, err
	}
	library, err := process("library")
	if err != nil {
		return err
	}
	bookshop, err := process("bookshop")
	if err != nil {
		return err
	}
	if err := library.Start(); err != nil {
		return err
	}
	err = bookshop.Run()
	return errors.Join(err, library.Process.Signal(syscall.SIGTERM), library.Wait())
}

// newDatabase returns the URL of a new database.
func newDatabase(ctx context.Context, server, name string) (string, error) {
	config, err := pgx.ParseConfig(server)
	if err != nil {
		return "", err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize())
	return fmt.Sprintf("postgres://%s:%s@%s:%d/%s?sslmode=disable", config.User, config.Password, config.Host, config.Port, name), err
}
