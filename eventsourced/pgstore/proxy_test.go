package pgstore_test

import (
	"context"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/eventsourcedtest"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
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
	store := pgstore.New(pool, eventsourcedtest.Registry(), pgstore.Config{})
	t.Cleanup(store.Close)
	_, err = store.Append(t.Context(), stream("a"), eventsourced.NoStream, encode(t, "1"))
	require.NoError(t, err) // the statements are prepared now: an append is one message

	for version := range eventsourced.Version(20) {
		proxy.cut.Store(true)
		position, err := store.Append(t.Context(), stream("a"), eventsourced.Revision(version+1), encode(t, "2"))
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
}

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	address, err := url.Parse(target)
	require.NoError(t, err)
	server := address.Host
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address.Host = listener.Addr().String()
	p := &proxy{url: address.String()}
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
		_, _ = io.Copy(server, client)
		closeBoth()
	}()
	buffer := make([]byte, 64<<10)
	for {
		n, err := server.Read(buffer)
		// An answer that ends with "ready, and not in a transaction" comes after the commit.
		if n >= 6 && string(buffer[n-6:n]) == "Z\x00\x00\x00\x05I" && p.cut.CompareAndSwap(true, false) {
			return
		}
		if _, writeErr := client.Write(buffer[:n]); err != nil || writeErr != nil {
			return
		}
	}
}
