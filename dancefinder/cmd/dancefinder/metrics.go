package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/cobra"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/operate"
	"github.com/dancefinder/eventsourcing/operate/metrics"
)

func addMetricsFlag(command *cobra.Command) {
	command.Flags().String("metrics-listen", "", "address and port of /metrics for Prometheus, such as 127.0.0.1:9464 (default: METRICS_LISTEN, then none)")
}

// newMetrics returns what observes everything that the app runs.
func (a *app) newMetrics() *metrics.Metrics {
	return metrics.New(metrics.Config{
		Pool: a.pool, Logger: a.logger, Status: a.status, Refused: func() []consumer.ID { return a.manager.Refused() },
	})
}

func (a *app) status(ctx context.Context) ([]consumer.Status, error) { return a.system().Status(ctx) }

// measured calls run with /metrics, /healthz and /readyz served beside it, at an address of its own: it is not for
// everybody who may see the site. Without an address it only calls run.
func (a *app) measured(ctx context.Context, address string, run func(context.Context) error) error {
	listener, err := listenForMetrics(ctx, address)
	if err != nil {
		return err
	}
	return a.measuredAt(ctx, listener, run)
}

// listenForMetrics listens at an address; at none it returns nil.
func listenForMetrics(ctx context.Context, address string) (net.Listener, error) {
	if address == "" {
		return nil, nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, operate.UsageError{Err: fmt.Errorf("--metrics-listen: %w", err)}
	}
	return listener, nil
}

// measuredAt is measured with a listener, which it closes; nil is none.
func (a *app) measuredAt(ctx context.Context, listener net.Listener, run func(context.Context) error) error {
	if listener == nil {
		return run(ctx)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(a.metrics, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second}))
	mux.Handle("GET /healthz", a.health.Live())
	mux.Handle("GET /readyz", a.health.Ready())
	defer context.AfterFunc(ctx, a.health.Drain)()
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 20 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	a.logger.InfoContext(ctx, "serves metrics", "url", "http://"+listener.Addr().String()+"/metrics")
	err := run(ctx)
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	err = errors.Join(err, server.Close(), a.metrics.Close(closing))
	if ended := <-served; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	return err
}
