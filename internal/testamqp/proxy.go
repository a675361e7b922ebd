package testamqp

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// Proxy stands between clients and a broker. It keeps its address while the broker
// behind it is replaced, and cuts connections.
type Proxy struct {
	t        testing.TB
	listener net.Listener
	running  sync.WaitGroup

	mu     sync.Mutex
	target *url.URL // nil refuses connections
	conns  map[net.Conn]bool
	closed bool
}

// NewProxy returns a proxy to the broker of a URL, "" for none yet. It ends with
// the test.
func NewProxy(t testing.TB, address string) *Proxy {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("testamqp: %v", err)
	}
	p := &Proxy{t: t, listener: listener, conns: map[net.Conn]bool{}}
	if address != "" {
		p.Lead(address)
	}
	p.running.Go(p.accept)
	t.Cleanup(func() {
		_ = listener.Close()
		p.mu.Lock()
		p.closed = true
		p.mu.Unlock()
		p.Cut()
		p.running.Wait()
	})
	return p
}

// URL returns the address of a broker with the proxy in between.
func (p *Proxy) URL(broker string) string {
	address, err := url.Parse(broker)
	if err != nil {
		p.t.Fatalf("testamqp: %v", err)
	}
	address.Host = p.listener.Addr().String()
	return address.String()
}

// Lead leads new connections to another broker, or to none.
func (p *Proxy) Lead(address string) {
	var target *url.URL
	if address != "" {
		var err error
		if target, err = url.Parse(address); err != nil {
			p.t.Fatalf("testamqp: %v", err)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// Cut cuts all connections.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		_ = conn.Close()
	}
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.running.Go(func() { p.serve(client) })
	}
}

func (p *Proxy) serve(client net.Conn) {
	defer func() { _ = client.Close() }()
	p.mu.Lock()
	target := p.target
	p.mu.Unlock()
	if target == nil {
		return
	}
	broker, err := net.Dial("tcp", target.Host) //nolint:noctx // on the loopback it fails at once
	if err != nil {
		return
	}
	defer func() { _ = broker.Close() }()
	if !p.keep(client, broker) {
		return
	}
	defer p.forget(client, broker)
	p.running.Go(func() {
		_, _ = io.Copy(broker, client)
		_ = broker.Close()
	})
	_, _ = io.Copy(client, broker)
}

func (p *Proxy) keep(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range conns {
		p.conns[conn] = true
	}
	return !p.closed
}

func (p *Proxy) forget(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range conns {
		delete(p.conns, conn)
	}
}
