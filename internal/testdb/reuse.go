package testdb

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
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

	mu        sync.Mutex
	idle      []*session
	cancelled map[uint32]bool // sessions to which a request to cancel was sent, which may come late
	closed    bool
}

// maxIdle is how many sessions are kept.
const maxIdle = 24

// session is one that has logged in.
type session struct {
	net.Conn
	greeting []byte // what the server said of itself after the login
	pid      uint32
}

func newSessions(config *pgx.ConnConfig) *sessions {
	address := net.JoinHostPort(config.Host, strconv.Itoa(int(config.Port)))
	return &sessions{user: config.User, database: config.Database, address: address, cancelled: map[uint32]bool{}}
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
	return last
}

// wants tells whether a session may be kept.
func (s *sessions) wants(it *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.closed && len(s.idle) < maxIdle && !s.cancelled[it.pid]
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

// dialled is the client's end of a connection.
type dialled struct {
	of               *sessions
	network, address string

	begun chan struct{} // closed when conn or err is set: a client may read before it has written

	mu       sync.Mutex
	conn     net.Conn
	err      error
	deadline [2]time.Time

	reading int
	kept    *session // nil when it is not one to be kept
	said    []byte   // of the login, until it is done
	rest    []byte   // to be read, before what comes
	spans   spans
	ended   bool // the client has said so
	asked   bool // something that the server has not answered
}

// Write takes the first words, by which it is known what this is.
func (d *dialled) Write(b []byte) (int, error) {
	d.mu.Lock()
	if d.conn == nil && d.err == nil {
		defer d.mu.Unlock()
		defer close(d.begun)
		return d.begin(b)
	}
	conn, err := d.conn, d.err
	kept := d.kept != nil
	if kept && bytes.Equal(b, []byte{'X', 0, 0, 0, 4}) {
		d.ended = true
		d.mu.Unlock()
		return len(b), nil
	}
	d.asked = true
	d.mu.Unlock()
	if err != nil {
		return 0, err
	}
	return conn.Write(b)
}

// begin is called with the startup message, or whatever else a client begins with.
func (d *dialled) begin(b []byte) (int, error) {
	settings, ours := d.of.asked(d.address, b)
	if ours {
		for it := d.of.take(); it != nil; it = d.of.take() {
			if it.become(settings) != nil {
				_ = it.Close()
				continue
			}
			d.use(it)
			d.kept, d.rest = it, it.greeting
			return len(b), nil
		}
	}
	if conn, err := (&net.Dialer{Timeout: time.Minute}).Dial(d.network, d.address); err != nil {
		d.err = err
		return 0, err
	} else {
		d.use(conn)
	}
	if ours {
		d.kept = &session{Conn: d.conn}
	}
	return d.conn.Write(b)
}

func (d *dialled) use(conn net.Conn) {
	d.conn = conn
	_ = conn.SetReadDeadline(d.deadline[0])
	_ = conn.SetWriteDeadline(d.deadline[1])
}

func (d *dialled) Read(b []byte) (int, error) {
	<-d.begun
	d.mu.Lock()
	conn, err := d.conn, d.err
	if len(d.rest) > 0 {
		n := copy(b, d.rest)
		d.rest = d.rest[n:]
		d.mu.Unlock()
		return n, nil
	}
	if d.ended {
		d.mu.Unlock()
		return 0, io.EOF // as from a server
	}
	d.reading++
	d.mu.Unlock()
	n := 0
	if conn != nil {
		n, err = conn.Read(b)
	} else if err == nil {
		err = net.ErrClosed
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reading--
	if d.kept != nil {
		d.heard(b[:n])
	}
	return n, err
}

// heard follows what the server says, up to the end of the login word by word.
func (d *dialled) heard(b []byte) {
	defer func() { d.asked = d.asked && (d.spans.have > 0 || d.spans.last != 'Z') }()
	if d.kept.greeting != nil {
		d.spans.follow(b)
		return
	}
	d.said = append(d.said, b...)
	var greeting []byte
	for said := d.said; len(said) >= 5; {
		length := 1 + int(binary.BigEndian.Uint32(said[1:]))
		if len(said) < length {
			return
		}
		message := said[:length]
		said = said[length:]
		switch message[0] {
		case 'R':
			if binary.BigEndian.Uint32(message[5:]) == 0 {
				greeting = append(greeting, message...)
			}
		case 'S':
			greeting = append(greeting, message...)
		case 'K':
			greeting = append(greeting, message...)
			d.kept.pid = binary.BigEndian.Uint32(message[5:])
		case 'Z':
			d.kept.greeting, d.said = append(greeting, message...), nil
			d.spans.follow(said)
			return
		}
	}
}

// Close keeps the session, if nothing speaks against it.
func (d *dialled) Close() error {
	d.mu.Lock()
	conn, kept := d.conn, d.kept
	if conn == nil && d.err == nil {
		close(d.begun)
	}
	d.conn, d.err, d.kept = nil, net.ErrClosed, nil
	keep := kept != nil && kept.greeting != nil && d.ended && !d.asked && d.reading == 0
	between := d.spans
	d.mu.Unlock()
	if conn == nil {
		return nil
	}
	if keep && d.of.wants(kept) && kept.clean(between) == nil && d.of.put(kept) {
		return nil
	}
	if kept != nil {
		_ = conn.SetDeadline(time.Now().Add(patience))
		_, _ = conn.Write([]byte{'X', 0, 0, 0, 4})
	}
	return conn.Close()
}

func (d *dialled) setDeadline(t time.Time, read, write bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if read {
		d.deadline[0] = t
	}
	if write {
		d.deadline[1] = t
	}
	if d.conn == nil {
		return nil
	}
	d.use(d.conn)
	return nil
}

func (d *dialled) SetDeadline(t time.Time) error      { return d.setDeadline(t, true, true) }
func (d *dialled) SetReadDeadline(t time.Time) error  { return d.setDeadline(t, true, false) }
func (d *dialled) SetWriteDeadline(t time.Time) error { return d.setDeadline(t, false, true) }

// LocalAddr implements [net.Conn].
func (d *dialled) LocalAddr() net.Addr { return &net.TCPAddr{} }

// RemoteAddr is where requests to cancel go.
func (d *dialled) RemoteAddr() net.Addr {
	address, err := net.ResolveTCPAddr("tcp", d.address)
	if err != nil {
		return &net.TCPAddr{}
	}
	return address
}

// asked returns the settings that a startup message asks for, and whether a kept session can have them.
func (s *sessions) asked(address string, b []byte) (settings map[string]string, ours bool) {
	const login, cancel = 196608, 80877102
	switch {
	case len(b) < 8 || address != s.address:
		return nil, false
	case len(b) == 16 && binary.BigEndian.Uint32(b[4:]) == cancel:
		s.mu.Lock()
		defer s.mu.Unlock()
		s.cancelled[binary.BigEndian.Uint32(b[8:])] = true
		return nil, false
	case binary.BigEndian.Uint32(b[4:]) != login:
		return nil, false
	}
	var startup pgproto3.StartupMessage
	if startup.Decode(b[4:]) != nil || startup.Parameters["user"] != s.user || startup.Parameters["database"] != s.database {
		return nil, false
	}
	settings = map[string]string{}
	for name, value := range startup.Parameters {
		switch name {
		case "user", "database":
		case "options":
			for _, option := range strings.Fields(value) {
				name, value, ok := strings.Cut(strings.TrimPrefix(option, "-c"), "=")
				if !ok || !strings.HasPrefix(option, "-c") {
					return nil, false
				}
				settings[name] = value
			}
		default:
			settings[name] = value
		}
	}
	return settings, true
}

// patience is for what a session takes milliseconds for.
const patience = 5 * time.Second

// become gives the session settings.
func (s *session) become(settings map[string]string) error {
	calls := []string{"1"}
	quote := func(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
	for name, value := range settings {
		calls = append(calls, "set_config("+quote(name)+", "+quote(value)+", false)")
	}
	return s.run("SELECT "+strings.Join(calls, ", "), "SELECT 1", spans{})
}

// clean ends what was begun, and forgets what was set.
func (s *session) clean(between spans) error {
	if err := s.send("ROLLBACK"); err != nil {
		return err
	}
	return s.run("DISCARD ALL", "DISCARD ALL", between)
}

func (s *session) send(sql string) error {
	_ = s.SetDeadline(time.Now().Add(patience))
	message, err := (&pgproto3.Query{String: sql}).Encode(nil)
	if err == nil {
		_, err = s.Write(message)
	}
	return err
}

var errUnclean = errors.New("the session can't be used again")

// run sends a statement, and reads up to what comes of it. Before that may be what nobody has read.
func (s *session) run(sql, tag string, between spans) error {
	if err := s.send(sql); err != nil {
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

// spans follows the messages of a server, of which only some are looked into.
type spans struct {
	head   [5]byte
	have   int  // of head
	left   int  // of the message's body
	last   byte // the message's type
	body   []byte
	until  []byte // the tag of the statement that is waited for
	past   bool   // it has come
	found  bool   // and the server is ready for more
	failed bool
}

func (s *spans) follow(b []byte) {
	for len(b) > 0 {
		if s.left == 0 && s.have < 5 {
			n := copy(s.head[s.have:], b)
			s.have, b = s.have+n, b[n:]
			if s.have < 5 {
				return
			}
			s.last, s.left, s.body = s.head[0], int(binary.BigEndian.Uint32(s.head[1:]))-4, nil
		}
		n := min(s.left, len(b))
		if s.until != nil && (s.last == 'C' || s.last == 'Z') {
			s.body = append(s.body, b[:n]...)
		}
		s.left, b = s.left-n, b[n:]
		if s.left > 0 {
			return
		}
		s.have = 0
		switch {
		case s.last == 'C' && s.until != nil && bytes.Equal(s.body, s.until):
			s.past = true
		case s.last == 'Z' && s.past:
			s.found = true
		case s.last == 'E' && s.until != nil:
			s.failed = true
		}
	}
}
