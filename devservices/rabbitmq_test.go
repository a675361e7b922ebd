//go:build unix

package devservices_test

import (
	"bytes"
	"context"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/devservices"
)

func TestRabbitMQ(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(sharedFolder(t), "rabbitmq")
	var log bytes.Buffer
	broker := startRabbitMQ(t, devservices.RabbitMQConfig{Dir: dir, Log: &log})
	require.Equal(t, 1, strings.Count(log.String(), "\n"))
	require.Contains(t, log.String(), dir)
	require.NotContains(t, log.String(), password(t, broker))

	require.NoError(t, dial(broker))
	_, err := broker.Control(t.Context(), "add_vhost", "kept")
	require.NoError(t, err)
	_, err = broker.Control(t.Context(), "no-such-command")
	require.ErrorContains(t, err, "rabbitmqctl no-such-command")

	require.NoError(t, broker.Kill())
	require.Error(t, dial(broker), "it is gone")

	again := startRabbitMQ(t, devservices.RabbitMQConfig{Dir: dir})
	hosts, err := again.Control(t.Context(), "-q", "list_vhosts")
	require.NoError(t, err)
	require.Contains(t, hosts, "kept", "a killed broker starts again with what it had")
	require.Equal(t, password(t, broker), password(t, again))
	require.NoError(t, again.Close())
	require.NoError(t, again.Close(), "closing twice is fine")
	require.Error(t, dial(again))
}

func TestRabbitMQCancelledStart(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := devservices.StartRabbitMQ(ctx, devservices.RabbitMQConfig{})
	require.ErrorIs(t, err, context.Canceled)
}

func startRabbitMQ(t *testing.T, config devservices.RabbitMQConfig) *devservices.RabbitMQ {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	broker, err := devservices.StartRabbitMQ(ctx, config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, broker.Close()) })
	return broker
}

// sharedFolder is one that the broker's user can enter; t.TempDir is not.
func sharedFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "devservices-test-") //nolint:usetesting // nobody else can enter t.TempDir()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o755))
	return dir
}

func password(t *testing.T, broker *devservices.RabbitMQ) string {
	t.Helper()
	address, err := url.Parse(broker.URL())
	require.NoError(t, err)
	password, _ := address.User.Password()
	require.Len(t, password, 32)
	return password
}

func dial(broker *devservices.RabbitMQ) error {
	address, err := url.Parse(broker.URL())
	if err != nil {
		return err
	}
	conn, err := net.Dial("tcp", address.Host)
	if err != nil {
		return err
	}
	return conn.Close()
}
