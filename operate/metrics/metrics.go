package metrics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/internal/pgschema"
)

// Defaults of [Config].
const (
	DefaultInterval = 5 * time.Second
	DefaultTimeout  = 3 * time.Second
)

// Config says where statuses come from. Without Status there are only the metrics of what
// happens on this node.
type Config struct {
	// Status returns how all consumers stand, such as [readview.Manager.Status], or that and
	// [consumer.Store.Status] together, as in the package's example.
	//
	// [readview.Manager.Status]: https://pkg.go.dev/github.com/dancefinder/eventsourcing/readview#Manager.Status
	Status func(context.Context) ([]consumer.Status, error)

	// Refused says what this program may not run, such as [readview.Manager.Refused]: each node tells of itself, also beside a version that runs. It must
	// ask nobody. By default nothing is said of it.
	//
	// [readview.Manager.Refused]: https://pkg.go.dev/github.com/dancefinder/eventsourcing/readview#Manager.Refused
	Refused func() []consumer.ID

	// Pool says how to connect to the database, in which the nodes agree on who reports. Required
	// with Status.
	Pool *pgxpool.Pool

	// Schema has the consumers' tables, as [consumer.Config] has it: each schema with such tables has a node that
	// reports. By default it is the first one of the connection's search path that has them.
	Schema string

	// Interval is how old what a scrape gets may be. Defaults to [DefaultInterval].
	Interval time.Duration

	// Timeout is how long a scrape waits for the database. Defaults to [DefaultTimeout].
	Timeout time.Duration

	// Logger defaults to [slog.Default].
	Logger *slog.Logger
}

// Metrics is a Prometheus collector, and the observer of a log's store and of consumers. It is
// safe for concurrent use.
type Metrics struct {
	consumer.NoObserver

	config   Config
	reporter *reporter

	appends  *prometheus.CounterVec
	appended prometheus.Counter
	append   prometheus.Histogram
	group    prometheus.Histogram
	lockWait prometheus.Histogram
	events   *prometheus.CounterVec
	page     *prometheus.HistogramVec
	failures *prometheus.CounterVec
	parked   *prometheus.CounterVec
	stalls   *prometheus.CounterVec
	resets   *prometheus.CounterVec
	rebuilds *prometheus.CounterVec

	mu      sync.Mutex
	waiting map[*time.Time]struct{} // since when appends wait for the log's lock, those that do for a second
	longest prometheus.GaugeFunc
}

var (
	_ prometheus.Collector = (*Metrics)(nil)
	_ consumer.Observer    = (*Metrics)(nil)
	_ pgstore.Observer     = (*Metrics)(nil)
)

// outcomes of appends, all of them there from the start: a rate wants a beginning.
var outcomes = []string{"appended", "conflict", "error"}

// New returns the metrics of one program, to be registered. It connects to nothing yet. It panics
// with all that is wrong with the configuration.
func New(config Config) *Metrics {
	if err := config.validate(); err != nil {
		panic(err.Error())
	}
	config = config.withDefaults()
	of := []string{"kind", "name"}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	histogram := func(name, help string, buckets []float64) prometheus.HistogramOpts {
		return prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}
	}
	short, long := prometheus.ExponentialBuckets(0.0005, 2.5, 11), prometheus.ExponentialBuckets(0.001, 3, 10)
	m := &Metrics{
		config:   config,
		waiting:  map[*time.Time]struct{}{},
		appends:  counter("eventlog_appends_total", "Appends, by what became of them.", "outcome"),
		appended: prometheus.NewCounter(prometheus.CounterOpts{Name: "eventlog_appended_events_total", Help: "Events that were appended."}),
		append:   prometheus.NewHistogram(histogram("eventlog_append_seconds", "How long transactions take that append.", short)),
		group:    prometheus.NewHistogram(histogram("eventlog_group_size", "Appends that went together in one transaction.", prometheus.ExponentialBuckets(1, 2, 9))),
		lockWait: prometheus.NewHistogram(histogram("eventlog_lock_wait_seconds", "How long appends wait for the log's lock.", short)),
		events:   counter("consumer_events_total", "Events that were handled.", of...),
		page:     prometheus.NewHistogramVec(histogram("consumer_page_seconds", "How long the handling of a page of events takes.", long), of),
		failures: counter("consumer_failures_total", "Tries that failed.", append(of, "category")...),
		parked:   counter("consumer_parked_total", "Events that were put aside.", of...),
		stalls:   counter("consumer_stalls_total", "How often something under way took so long that a consumer was stalled.", of...),
		resets:   counter("consumer_resets_total", "Resets by this process.", of...),
		rebuilds: counter("consumer_rebuilds_total", "Rebuilds by this process.", of...),
	}
	m.longest = prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "eventlog_lock_waiting_seconds", Help: "For how long the append that has waited longest for the log's lock waits already, 0 while none does for a second."}, m.longestWait)
	for _, outcome := range outcomes {
		m.appends.WithLabelValues(outcome)
	}
	if config.Status != nil {
		m.reporter = &reporter{config: config, role: role{config: config, silence: silence, unasked: unasked}}
	}
	return m
}

func (c Config) withDefaults() Config {
	if c.Interval == 0 {
		c.Interval = DefaultInterval
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

func (c Config) validate() error {
	var problems []error
	if c.Status != nil && c.Pool == nil {
		problems = append(problems, errors.New("metrics.Config: Pool is nil, and Status is not"))
	}
	if err := pgschema.Schema(c.Schema).Validate(); err != nil {
		problems = append(problems, fmt.Errorf("metrics.Config: Schema %w", err))
	}
	if c.Interval < 0 {
		problems = append(problems, errors.New("metrics.Config: Interval is negative"))
	}
	if c.Timeout < 0 {
		problems = append(problems, errors.New("metrics.Config: Timeout is negative"))
	}
	return errors.Join(problems...)
}

// Close gives up reporting, so that another node takes over at once.
func (m *Metrics) Close(ctx context.Context) error {
	if m.reporter == nil {
		return nil
	}
	return m.reporter.close(ctx)
}

// Appended implements [pgstore.Observer].
func (m *Metrics) Appended(_ context.Context, stats pgstore.AppendStats) {
	m.append.Observe(stats.Took.Seconds())
	m.lockWait.Observe(stats.LockWait.Seconds())
	m.group.Observe(float64(stats.Appends))
	if stats.Err != nil {
		m.appends.WithLabelValues("error").Add(float64(stats.Appends))
		return
	}
	m.appended.Add(float64(stats.Events))
	m.appends.WithLabelValues("conflict").Add(float64(stats.Conflicts))
	m.appends.WithLabelValues("appended").Add(float64(stats.Appends - stats.Conflicts))
}

// LockAwaited implements [pgstore.Observer].
func (m *Metrics) LockAwaited(_ context.Context, began time.Time, _ pgstore.LockHolder) func() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.waiting[&began] = struct{}{}
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.waiting, &began)
	}
}

func (m *Metrics) longestWait() (seconds float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for began := range m.waiting {
		seconds = max(seconds, time.Since(*began).Seconds())
	}
	return seconds
}

// labels are kind and name of a consumer. A subscriber's topic tells apart those of its group.
func labels(id consumer.ID) []string {
	if id.Topic != "" {
		return []string{string(id.Kind), id.Name + "/" + id.Topic}
	}
	return []string{string(id.Kind), id.Name}
}

// Handled implements [consumer.Observer].
func (m *Metrics) Handled(_ context.Context, progress consumer.Progress) {
	of := labels(progress.ID)
	m.events.WithLabelValues(of...).Add(float64(progress.Events))
	m.page.WithLabelValues(of...).Observe(progress.Took.Seconds())
}

// Failed implements [consumer.Observer].
func (m *Metrics) Failed(_ context.Context, id consumer.ID, failure consumer.Failure) {
	category := "other"
	switch {
	case failure.Stack != "":
		category = "panic"
	case failure.Position != 0:
		category = "event"
	}
	m.failures.WithLabelValues(append(labels(id), category)...).Inc()
}

// Parked implements [consumer.Observer].
func (m *Metrics) Parked(_ context.Context, id consumer.ID, _ consumer.Failure) {
	m.parked.WithLabelValues(labels(id)...).Inc()
}

// Stalled implements [consumer.Observer].
func (m *Metrics) Stalled(_ context.Context, id consumer.ID, _ consumer.Failure) {
	m.stalls.WithLabelValues(labels(id)...).Inc()
}

// Reset implements [consumer.Observer].
func (m *Metrics) Reset(_ context.Context, id consumer.ID) {
	m.resets.WithLabelValues(labels(id)...).Inc()
}

// Rebuilt implements [consumer.Observer].
func (m *Metrics) Rebuilt(_ context.Context, id consumer.ID, _ time.Duration) {
	m.rebuilds.WithLabelValues(labels(id)...).Inc()
}

// counted are the metrics of what happens on this node.
func (m *Metrics) counted() []prometheus.Collector {
	return []prometheus.Collector{m.appends, m.appended, m.append, m.group, m.lockWait, m.longest,
		m.events, m.page, m.failures, m.parked, m.stalls, m.resets, m.rebuilds}
}

// Describe implements [prometheus.Collector].
func (m *Metrics) Describe(descriptions chan<- *prometheus.Desc) {
	for _, c := range m.counted() {
		c.Describe(descriptions)
	}
	for _, d := range append(standing, refusedDesc) {
		descriptions <- d
	}
}

// Collect implements [prometheus.Collector].
func (m *Metrics) Collect(metrics chan<- prometheus.Metric) {
	for _, c := range m.counted() {
		c.Collect(metrics)
	}
	if m.config.Refused != nil {
		for _, id := range m.config.Refused() {
			metrics <- prometheus.MustNewConstMetric(refusedDesc, prometheus.GaugeValue, 1, labels(id)...)
		}
	}
	if m.reporter != nil {
		m.reporter.collect(metrics)
	}
}
