package pgstore_test

import (
	"bytes"
	"context"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/eventsourced/storetest"
	"github.com/dancefinder/eventsourcing/internal/testdb"
)

// TestConnectionCutAtTheCommit loses the server's answer to an append that it has
// committed.
func TestConnectionCutAtTheCommit(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	direct := open(t, db)
	proxy := newProxy(t, db.URL)
	pool, err := pgxpool.New(t.Context(), proxy.url)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	store := pgstore.New(pool, storetest.Registry(), pgstore.Config{})
	t.Cleanup(store.Close)
	_, err = store.Append(t.Context(), stream("a"), eventsourced.NoStream, encode(t, "1"))
	require.NoError(t, err) // the statements are prepared now: an append is one message

	for version := range eventsourced.Version(20) {
		proxy.cut.Store(true)
		position, err := store.Append(t.Context(), stream("a"), eventsourced.AtVersion(version+1), encode(t, "2"))
		require.NoError(t, err, "the append that was committed is recognized")
		require.False(t, proxy.cut.Load(), "the answer was lost")
		head, err := direct.Head(t.Context())
		require.NoError(t, err)
		require.Equal(t, head, position)
	}
	require.Len(t, read(t, direct, eventsourced.LogQuery{}), 21)
}

// proxy passes connections on. With cut set, it closes one when the server has
// answered, and the answer is lost.
type proxy struct {
	url string
	cut atomic.Bool

	// With stall above 0, the one connection that sends more than so many bytes passes nothing
	// on after them, as a network that is gone without a word. silent is closed then.
	stall  atomic.Int64
	silent chan struct{}

	// With answers above 0, the server's next so many bytes are passed on, and then the
	// connection that was to get more is closed.
	answers atomic.Int64

	pooler bool // it tells clients another process id than the server's
}

func newProxy(t *testing.T, target string, options ...func(*proxy)) *proxy {
	t.Helper()
	address, err := url.Parse(target)
	require.NoError(t, err)
	server := address.Host
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address.Host = listener.Addr().String()
	p := &proxy{url: address.String(), silent: make(chan struct{})}
	for _, option := range options {
		option(p)
	}
	var connections sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	connections.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Go(func() { p.serve(ctx, client, server) })
		}
	})
	t.Cleanup(func() {
		cancel()
		_ = listener.Close()
		connections.Wait()
	})
	return p
}

func (p *proxy) serve(ctx context.Context, client net.Conn, address string) {
	server, err := net.Dial("tcp", address)
	if err != nil {
		_ = client.Close()
		return
	}
	closeBoth := sync.OnceFunc(func() { _, _ = client.Close(), server.Close() })
	defer closeBoth()
	defer context.AfterFunc(ctx, closeBoth)()
	go func() {
		p.send(ctx, server, client)
		closeBoth()
	}()
	buffer := make([]byte, 64<<10)
	for {
		n, err := server.Read(buffer)
		if p.pooler {
			if i := bytes.Index(buffer[:n], []byte("K\x00\x00\x00\x0c")); i >= 0 {
				buffer[i+8] ^= 1
			}
		}
		if left := p.answers.Load(); left > 0 {
			p.answers.Store(max(left-int64(n), 0))
			if left <= int64(n) {
				_, _ = client.Write(buffer[:left])
				return
			}
		}
		// An answer that ends with "ready, and not in a transaction" comes after the commit.
		if n >= 6 && string(buffer[n-6:n]) == "Z\x00\x00\x00\x05I" && p.cut.CompareAndSwap(true, false) {
			return
		}
		if _, writeErr := client.Write(buffer[:n]); err != nil || writeErr != nil {
			return
		}
	}
}

// send passes on what the client sends.
func (p *proxy) send(ctx context.Context, server, client net.Conn) {
	buffer := make([]byte, 64<<10)
	sent := int64(0)
	for {
		n, err := client.Read(buffer)
		if limit := p.stall.Load(); limit > 0 && sent+int64(n) > limit && p.stall.CompareAndSwap(limit, 0) {
			_, _ = server.Write(buffer[:max(limit-sent, 0)])
			close(p.silent)
			<-ctx.Done()
			return
		}
		sent += int64(n)
		if _, writeErr := server.Write(buffer[:n]); err != nil || writeErr != nil {
			return
		}
	}
}
