package amqpbus_test

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// tlsProxy stands before a broker and speaks TLS, with a certificate that only the
// returned configuration trusts.
func tlsProxy(t *testing.T, broker string) (address string, trusted *tls.Config) {
	t.Helper()
	target, err := url.Parse(broker)
	require.NoError(t, err)
	certified := httptest.NewTLSServer(nil) // for its certificate
	certified.Close()
	listener, err := tls.Listen("tcp4", "127.0.0.1:0", &tls.Config{Certificates: certified.TLS.Certificates, MinVersion: tls.VersionTLS12})
	require.NoError(t, err)
	var running sync.WaitGroup
	host := target.Host
	running.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { forward(client, host, &running) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		running.Wait()
	})
	target.Scheme, target.Host = "amqps", listener.Addr().String()
	trusted = certified.Client().Transport.(*http.Transport).TLSClientConfig
	return target.String(), trusted
}

func forward(client net.Conn, host string, running *sync.WaitGroup) {
	defer func() { _ = client.Close() }()
	broker, err := net.Dial("tcp", host)
	if err != nil {
		return
	}
	defer func() { _ = broker.Close() }()
	running.Go(func() {
		_, _ = io.Copy(broker, client)
		_ = broker.Close()
	})
	_, _ = io.Copy(client, broker)
}
