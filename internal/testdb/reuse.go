package testdb

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"
)

// sessions keeps server sessions whose connection a test has closed, as clean as new ones, for other tests of the process: to
// start a session costs the server more than most tests do with it. Only those to the server's own database, as its own user, are
// kept; all else that dials goes through.
type sessions struct {
	user, database, address string

	mu     sync.Mutex
	idle   []*session
	told   map[identity]*session // nil: whom this was told no longer has the session
	closed bool
}

// maxIdle is how many sessions are kept.
const maxIdle = 24

// session is one that has logged in.
type session struct {
	net.Conn
	greeting []byte // what the server said of itself after the login
	identity
	told      identity // to the client of the moment
	cancelled bool     // the request may come late
}

// identity is what a request to cancel has. Each client of a session is told another key: one asks for what it left
// when it has closed already, and would cancel what the next one does.
type identity struct{ pid, key uint32 }

func newSessions(config *pgx.ConnConfig) *sessions {
	address := net.JoinHostPort(config.Host, strconv.Itoa(int(config.Port)))
	return &sessions{user: config.User, database: config.Database, address: address, told: map[identity]*session{}}
}

// dial returns a connection that chooses its session when it hears whose it is to be.
func (s *sessions) dial(_ context.Context, network, address string) (net.Conn, error) {
	return &dialled{of: s, network: network, address: address, begun: make(chan struct{})}, nil
}

func (s *sessions) take() *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.idle) == 0 {
		return nil
	}
	last := s.idle[len(s.idle)-1]
	s.idle = s.idle[:len(s.idle)-1]
	s.tell(last, identity{last.pid, rand.Uint32()})
	return last
}

func (s *sessions) tell(it *session, identity identity) { it.told, s.told[identity] = identity, it }

// add takes note of a session that has logged in.
func (s *sessions) add(it *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tell(it, it.identity)
}

// wants tells whether a session may be kept. From then on its client can cancel nothing in it.
func (s *sessions) wants(it *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.idle) >= maxIdle || it.cancelled {
		return false
	}
	s.told[it.told] = nil
	return true
}

func (s *sessions) put(it *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.idle) == maxIdle {
		return false
	}
	s.idle = append(s.idle, it)
	return true
}

const cancelCode = 80877102

func isCancel(b []byte) bool { return len(b) == 16 && binary.BigEndian.Uint32(b[4:]) == cancelCode }

// cancel returns the request to cancel as the server wants it, or nil when who asks no longer has the session.
func (s *sessions) cancel(request []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	it, known := s.told[identity{binary.BigEndian.Uint32(request[8:]), binary.BigEndian.Uint32(request[12:])}]
	switch {
	case !known:
		return request
	case it == nil:
		return nil
	}
	it.cancelled = true
	return binary.BigEndian.AppendUint32(bytes.Clone(request[:12]), it.key)
}

// close ends all that are kept.
func (s *sessions) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, it := range s.idle {
		_ = it.Close()
	}
	s.idle = nil
}

// asked returns the settings that a startup message asks for, and whether a kept session can have them.
func (s *sessions) asked(address string, b []byte) (settings map[string]string, ours bool) {
	const login = 196608
	switch {
	case len(b) < 8 || address != s.address:
		return nil, false
	case binary.BigEndian.Uint32(b[4:]) != login:
		return nil, false
	}
	var startup pgproto3.StartupMessage
	if startup.Decode(b[4:]) != nil || startup.Parameters["user"] != s.user || startup.Parameters["database"] != s.database {
		return nil, false
	}
	settings = map[string]string{}
	for _, option := range strings.Fields(startup.Parameters["options"]) {
		name, value, ok := strings.Cut(strings.TrimPrefix(option, "-c"), "=")
		if !ok || !strings.HasPrefix(option, "-c") {
			return nil, false
		}
		settings[name] = value
	}
	for name, value := range startup.Parameters { // they win over options
		if name != "user" && name != "database" && name != "options" {
			settings[name] = value
		}
	}
	_, placed := settings["search_path"]
	return settings, placed
}

// onlyPlace tells whether nothing is set but what become always sets: what a session begins with is what it goes back to
// when all is discarded.
func onlyPlace(settings map[string]string) bool {
	for name := range settings {
		if name != "search_path" && name != "application_name" {
			return false
		}
	}
	return true
}

// For what a session takes milliseconds for, unless it is still at work.
const (
	patience      = 5 * time.Second
	cleanPatience = 300 * time.Millisecond
)

// become gives the session settings.
func (s *session) become(settings map[string]string) error {
	calls := []string{"1"}
	quote := func(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
	settings["application_name"] += ""
	for name, value := range settings {
		calls = append(calls, "set_config("+quote(name)+", "+quote(value)+", false)")
	}
	return s.run("SELECT "+strings.Join(calls, ", "), "SELECT 1", spans{}, patience)
}

// clean ends what was begun, and forgets what was set.
func (s *session) clean(between spans) error {
	if err := s.send("ROLLBACK", cleanPatience); err != nil {
		return err
	}
	return s.run("DISCARD ALL", "DISCARD ALL", between, cleanPatience)
}

// greets returns what its next client is told after the login.
func (s *session) greets() []byte {
	greeting := bytes.Clone(s.greeting)
	for at := 0; at < len(greeting); at += 1 + int(binary.BigEndian.Uint32(greeting[at+1:])) {
		if greeting[at] == 'K' {
			binary.BigEndian.PutUint32(greeting[at+9:], s.told.key)
		}
	}
	return greeting
}

func (s *session) send(sql string, patience time.Duration) error {
	_ = s.SetDeadline(time.Now().Add(patience))
	message, err := (&pgproto3.Query{String: sql}).Encode(nil)
	if err == nil {
		_, err = s.Write(message)
	}
	return err
}

var errUnclean = errors.New("the session can't be used again")

// run sends a statement, and reads up to what comes of it. Before that may be what nobody has read.
func (s *session) run(sql, tag string, between spans, patience time.Duration) error {
	if err := s.send(sql, patience); err != nil {
		return err
	}
	between.until = append([]byte(tag), 0)
	buffer := make([]byte, 8192)
	for !between.found {
		n, err := s.Read(buffer)
		if err != nil {
			return err
		}
		between.follow(buffer[:n])
		if between.failed {
			return errUnclean
		}
	}
	return s.SetDeadline(time.Time{})
}
