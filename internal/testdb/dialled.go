package testdb

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"time"
)

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
	kept := d.kept != nil && !d.asked // otherwise the server ends it, and the client may wait for that
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
	if isCancel(b) && d.address == d.of.address {
		request := d.of.cancel(b)
		if request == nil {
			d.err, d.ended = io.EOF, true // all that the server says to one
			return len(b), nil
		}
		b = request
	}
	settings, ours := d.of.asked(d.address, b)
	if ours {
		for it := d.of.take(); it != nil; it = d.of.take() {
			if it.become(settings) != nil {
				_ = it.Close()
				continue
			}
			d.use(it)
			d.kept, d.rest = it, it.greets()
			return len(b), nil
		}
	}
	if conn, err := (&net.Dialer{Timeout: time.Minute}).Dial(d.network, d.address); err != nil {
		d.err = err
		return 0, err
	} else {
		d.use(conn)
	}
	if ours && onlyPlace(settings) {
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
			d.kept.identity = identity{binary.BigEndian.Uint32(message[5:]), binary.BigEndian.Uint32(message[9:])}
			d.of.add(d.kept)
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
