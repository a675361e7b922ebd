//go:build unix

// Command services runs another command with the servers that tests need:
//
//	services [-durable] [-rabbitmq] [-install] -- COMMAND ARG...
//	services [-rabbitmq] -install
//
// If TEST_DATABASE_URL or DATABASE_URL is set, COMMAND gets it as
// TEST_DATABASE_URL. Otherwise it gets a private PostgreSQL, which stops with it.
// With -rabbitmq it gets a private RabbitMQ as TEST_AMQP_URL, if that is not set.
// COMMAND runs in a process group of its own, so that a signal reaches all that it
// started; it cannot read from the terminal. Without COMMAND what is missing is
// installed, and nothing is started. The exit code is COMMAND's, 128 and
// the signal's number if a signal ended it, 1 if it could not be run, 2 for wrong
// usage.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/dancefinder/eventsourcing/devservices"
)

func main() {
	durable := flag.Bool("durable", false, "let PostgreSQL force its writes to disk, as in production")
	rabbitMQ := flag.Bool("rabbitmq", false, "also start a RabbitMQ")
	install := flag.Bool("install", false, "install what is missing with apt-get")
	flag.Usage = func() {
		_, _ = fmt.Fprintln(flag.CommandLine.Output(), "usage: services [-durable] [-rabbitmq] [-install] -- COMMAND ARG...\n       services [-rabbitmq] -install")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() == 0 && !*install {
		flag.Usage()
		os.Exit(2)
	}
	code, err := run(*durable, *rabbitMQ, *install, flag.Args())
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "services:", err)
	}
	os.Exit(code)
}

func run(durable, rabbitMQ, install bool, args []string) (code int, err error) {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, stopSignals...)
	ctx, cancel := signal.NotifyContext(context.Background(), stopSignals...)
	defer cancel()
	if len(args) == 0 {
		err := devservices.InstallPostgres(ctx, os.Stderr)
		if err == nil && rabbitMQ {
			err = devservices.InstallRabbitMQ(ctx, os.Stderr)
		}
		if err != nil {
			return 1, err
		}
		return 0, nil
	}

	var environment []string
	url := cmp.Or(os.Getenv("TEST_DATABASE_URL"), os.Getenv("DATABASE_URL"))
	if url == "" {
		server, err := startPostgres(ctx, durable, install)
		if err != nil {
			return 1, err
		}
		defer func() { err = errors.Join(err, server.Close()) }()
		url = server.URL()
	}
	environment = append(environment, "TEST_DATABASE_URL="+url)
	if rabbitMQ && os.Getenv("TEST_AMQP_URL") == "" {
		broker, err := startRabbitMQ(ctx, install)
		if err != nil {
			return 1, err
		}
		defer func() { err = errors.Join(err, broker.Close()) }()
		environment = append(environment, "TEST_AMQP_URL="+broker.URL())
	}
	return runCommand(args, environment, signals)
}

func startPostgres(ctx context.Context, durable, install bool) (*devservices.Postgres, error) {
	if install {
		if err := devservices.InstallPostgres(ctx, os.Stderr); err != nil {
			return nil, err
		}
	}
	return devservices.StartPostgres(ctx, devservices.PostgresConfig{Durable: durable, Log: os.Stderr})
}

func startRabbitMQ(ctx context.Context, install bool) (*devservices.RabbitMQ, error) {
	if install {
		if err := devservices.InstallRabbitMQ(ctx, os.Stderr); err != nil {
			return nil, err
		}
	}
	return devservices.StartRabbitMQ(ctx, devservices.RabbitMQConfig{Log: os.Stderr})
}

// parent is who started us. "go run" dies of a SIGTERM without passing it on, so
// we end with our parent.
var parent = os.Getppid()

var stopSignals = []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP}

func runCommand(args, environment []string, signals <-chan os.Signal) (code int, err error) {
	command := exec.Command(args[0], args[1:]...) //nolint:noctx // signals stop it
	command.Env = append(os.Environ(), environment...)
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := command.Start(); err != nil {
		return 1, err
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()

	look := time.NewTicker(time.Second)
	defer look.Stop()
	for {
		select {
		case received := <-signals:
			_ = syscall.Kill(-command.Process.Pid, received.(syscall.Signal))
		case <-look.C:
			if os.Getppid() != parent {
				_ = syscall.Kill(-command.Process.Pid, syscall.SIGTERM)
			}
		case err := <-ended:
			return exitCode(err)
		}
	}
}

func exitCode(err error) (int, error) {
	var failed *exec.ExitError
	ok := errors.As(err, &failed)
	if !ok && err != nil {
		return 1, err
	}
	if !ok {
		return 0, nil
	}
	if status := failed.Sys().(syscall.WaitStatus); status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return failed.ExitCode(), nil
}
