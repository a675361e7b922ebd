// Package devservices starts private servers for development, demos and tests.
//
// A server belongs to the process that starts it. It listens on the loopback
// address only and never outlives its owner: a watchdog process holds the read
// end of a pipe whose write end only the owner has, so that the server stops and
// its temporary data goes however the owner ends, SIGKILL included.
//
//	owner --pipe--> watchdog (sh, in a session of its own) --> server
//
// The package needs a Unix system. It is not meant for production.
package devservices

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// PostgresConfig says how a private PostgreSQL is set up. The zero value is a
// server for throwaway tests.
type PostgresConfig struct {
	// Dir is the folder that holds the server's data, password and log. It is
	// created when missing, kept by Close and used again by the next start; two
	// servers cannot share it. A folder that holds something else is refused.
	// Defaults to a temporary folder, removed with the server.
	Dir string

	// Durable keeps the server's own defaults, which survive a power cut. Set it
	// for data that matters and for benchmarks. Otherwise nothing is forced to
	// disk (fsync and full_page_writes are off), and no query is compiled (jit is
	// off), which pays for large data only: faster, and a committed transaction
	// still survives the crash of a server process, because synchronous_commit
	// stays on.
	Durable bool

	// Settings are further server settings by name, such as "work_mem". They win
	// over this package's, except for the address and the port.
	Settings map[string]string

	// Log receives one line when the server is up. Nil means silence.
	Log io.Writer
}

// Postgres is a running private server. Its methods are safe for concurrent use.
type Postgres struct {
	url   string
	close func() error
}

// errPortTaken says that another process took the port that was free just before.
var errPortTaken = errors.New("port taken")

// StartPostgres starts a server and returns when it accepts connections. It has
// UTF-8 databases that sort by code point, and room for 200 connections. As root
// it runs as the user postgres, or nobody, because PostgreSQL refuses root.
//
// ctx bounds the start only; the server runs until Close or the end of this
// process. The error is [ErrNotInstalled] when there is no PostgreSQL on this
// machine; that of a server that does not come up carries the end of its log.
func StartPostgres(ctx context.Context, config PostgresConfig) (*Postgres, error) {
	bin, err := findPostgres(ctx)
	if err != nil {
		return nil, err
	}
	user, err := serviceAccount("postgres", "nobody")
	if err != nil {
		return nil, err
	}
	var server *Postgres
	for range 5 {
		var port int
		if port, err = freePort(); err != nil {
			break
		}
		server, err = startPostgres(ctx, config, bin, user, port)
		if !errors.Is(err, errPortTaken) {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("start PostgreSQL from %s: %w", bin, err)
	}
	return server, nil
}

// URL returns the connection URL of a superuser on the database postgres. It
// carries the server's password, which only this user's processes can read.
func (p *Postgres) URL() string { return p.url }

// Close stops the server, cutting its connections, and removes temporary data. It
// returns when both are done. Further calls return what the first did.
func (p *Postgres) Close() error { return p.close() }

func startPostgres(ctx context.Context, config PostgresConfig, bin string, user *account, port int) (*Postgres, error) {
	dir, err := serviceFolder(ctx, "postgres", config.Dir, user)
	if err != nil {
		return nil, err
	}
	signals, initSync := "INT QUIT", "--no-sync" // a fast shutdown, then an immediate one
	if config.Dir == "" {
		signals = "QUIT"
	}
	if config.Durable {
		initSync = ""
	}
	dog, err := startWatchdog(watchdogConfig{
		dir:       dir,
		temporary: config.Dir == "",
		user:      user,
		signals:   signals,
		script:    postgresScript,
		args:      append([]string{bin, initSync}, config.serverArgs(port)...),
	})
	if err != nil {
		return nil, err
	}
	if err := waitReady(ctx, dog, filepath.Join(dir, "data", "postmaster.pid"), port); err != nil {
		return nil, errors.Join(err, dog.stop())
	}
	password, err := os.ReadFile(filepath.Join(dir, "password"))
	if err != nil {
		return nil, errors.Join(err, dog.stop())
	}
	if config.Log != nil {
		_, _ = fmt.Fprintf(config.Log, "started PostgreSQL (%s) on 127.0.0.1:%d, data in %s\n", bin, port, dir)
	}
	address := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword("postgres", string(password)),
		Host:     net.JoinHostPort("127.0.0.1", strconv.Itoa(port)),
		Path:     "postgres",
		RawQuery: "sslmode=disable",
	}
	return &Postgres{url: address.String(), close: sync.OnceValue(dog.stop)}, nil
}

// postgresScript runs under the watchdog, in the service's folder. The password
// keeps other users of the machine out: a superuser of PostgreSQL can run programs
// as the user whom the server runs as. It is 128 random bits, so md5 is enough: for
// scram-sha-256 both sides hash thousands of times for each connection, and tests make
// thousands of those. A cluster gets its final name only when it is complete. C.UTF-8
// is not everywhere; C knows no letters beyond ASCII.
const postgresScript = `
bin=$1 sync=$2
shift 2
[ -s password ] || od -A n -t x1 -N 16 /dev/urandom | tr -d ' \n' >password
for locale in C.UTF-8 C; do
	[ ! -d data ] || break
	rm -rf data.new
	run "$bin/initdb" -D data.new -U postgres -E UTF8 --locale=$locale \
		--auth=md5 --pwfile=password $sync && mv data.new data
done
[ -d data ] || exit
run "$bin/postgres" -D data "$@"
`

func (c PostgresConfig) serverArgs(port int) []string {
	settings := map[string]string{"max_connections": "200"}
	if !c.Durable {
		settings["fsync"] = "off"
		settings["full_page_writes"] = "off"
		settings["jit"] = "off"
	}
	maps.Copy(settings, c.Settings)
	settings["listen_addresses"] = "127.0.0.1"
	settings["port"] = strconv.Itoa(port)
	settings["unix_socket_directories"] = ""
	var args []string
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		args = append(args, "-c", name+"="+settings[name])
	}
	return args
}

// waitReady waits for the server's own word that it accepts connections. A dial
// would not do: if we lost the port, it would reach somebody else's server.
func waitReady(ctx context.Context, dog *watchdog, pidFile string, port int) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-dog.done:
			if isTaken(port) {
				return errPortTaken
			}
			return fmt.Errorf("it stopped: %s", dog.lastWords())
		case <-tick.C:
		}
		content, err := os.ReadFile(pidFile)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		// Line 4 is the port and line 8 the state (PostgreSQL 10 and later).
		lines := strings.Split(string(content), "\n")
		if len(lines) >= 8 && lines[3] == strconv.Itoa(port) && strings.TrimSpace(lines[7]) == "ready" {
			return nil
		}
	}
}

func freePort() (int, error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return listener.Addr().(*net.TCPAddr).Port, listener.Close()
}

func isTaken(port int) bool {
	listener, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return true
	}
	_ = listener.Close()
	return false
}
