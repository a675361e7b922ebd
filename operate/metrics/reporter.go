package metrics

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
)

var (
	ofConsumer = []string{"kind", "name"}

	reporterDesc = prometheus.NewDesc("consumer_reporter", "1 on the node that says how consumers stand in the database.", nil, nil)
	upDesc       = prometheus.NewDesc("consumer_status_up", "1 if the status of the consumers could be read.", nil, nil)
	headDesc     = prometheus.NewDesc("eventlog_head_position", "Position of the newest event, in microseconds since 1970.", nil, nil)
	positionDesc = prometheus.NewDesc("consumer_position", "Position up to which everything is done, in microseconds since 1970.", ofConsumer, nil)
	behindDesc   = prometheus.NewDesc("consumer_events_behind", "Events that wait, up to 10000.", ofConsumer, nil)
	lagDesc      = prometheus.NewDesc("consumer_lag_seconds", "How long the first event that waits has been waiting.", ofConsumer, nil)
	stateDesc    = prometheus.NewDesc("consumer_state", "1 for the state that a consumer has.", append(ofConsumer, "state"), nil)
	failingDesc  = prometheus.NewDesc("consumer_failing_seconds", "Since what keeps a consumer from getting on began, 0 without.", ofConsumer, nil)
	debtDesc     = prometheus.NewDesc("consumer_debt_events", "Events that are parked, and those that a projection lacks as they were skipped. What a reactor has skipped is settled, and does not count.", ofConsumer, nil)
	rebuildDesc  = prometheus.NewDesc("consumer_rebuild_ratio", "How far a rebuild is that runs, 0 to 1.", ofConsumer, nil)
	equalDesc    = prometheus.NewDesc("consumer_verify_equal", "1 if the last verification found the tables as their events make them, 0 if not.", ofConsumer, nil)
	differDesc   = prometheus.NewDesc("consumer_verify_different_rows", "Rows that it found missing, too many or different; what was skipped or is parked does not count.", ofConsumer, nil)
	verifiedDesc = prometheus.NewDesc("consumer_verify_timestamp_seconds", "When that verification ended, in seconds since 1970.", ofConsumer, nil)
	untoldDesc   = prometheus.NewDesc("consumer_verify_failed", "1 if the last verification could not tell, 0 if it could; nothing while one runs.", ofConsumer, nil)
	everyDesc    = prometheus.NewDesc("consumer_verify_interval_seconds", "How long after one the next verification on schedule begins, where there is a schedule.", ofConsumer, nil)
	lockedDesc   = prometheus.NewDesc("eventlog_table_lock_waiting_seconds", "For how long a session waits already for a lock on a table of the log or of the consumers, 0 without.", []string{"table"}, nil)
	refusedDesc  = prometheus.NewDesc("consumer_refused", "1 for a projection that this program may not run, until somebody resets or rebuilds it.", ofConsumer, nil)

	standing = []*prometheus.Desc{reporterDesc, upDesc, headDesc, positionDesc, behindDesc, lagDesc, stateDesc, failingDesc, debtDesc, rebuildDesc,
		equalDesc, differDesc, verifiedDesc, untoldDesc, everyDesc, lockedDesc}
)

var states = []consumer.State{consumer.Live, consumer.CatchingUp, consumer.Retrying, consumer.Stalled, consumer.Paused, consumer.Failed, consumer.Ahead, consumer.Standby}

// reporter says how consumers stand, on one node of those that share a database.
type reporter struct {
	config Config
	role   role

	mu     sync.Mutex
	looked time.Time
	all    []consumer.Status
	err    error // why they could not be read
	locked map[string]float64
}

// lockedSQL are the tables without which nobody gets on, and for how long a session has been waiting for a lock on each.
const lockedSQL = `SELECT named, coalesce(date_part('epoch', max(clock_timestamp() - a.query_start)), 0)::float8
	FROM unnest(ARRAY['events', 'readviews', 'readview_states', 'consumers']) named
	LEFT JOIN (pg_locks l JOIN pg_class c ON l.relation = c.oid JOIN pg_stat_activity a USING (pid))
		ON c.relname = named AND NOT l.granted AND l.locktype = 'relation' AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
	GROUP BY named`

// lockedTables asks for them in a time of its own: the status may have waited for one of these locks.
func (r *reporter) lockedTables() map[string]float64 {
	ctx, cancel := context.WithTimeout(context.Background(), min(r.config.Timeout, 2*time.Second)) // a scrape has both
	defer cancel()
	rows, err := r.config.Pool.Query(ctx, lockedSQL)
	if err != nil {
		return nil
	}
	locked := map[string]float64{}
	var table string
	var seconds float64
	if _, err = pgx.ForEachRow(rows, []any{&table, &seconds}, func() error { locked[table] = max(0, seconds); return nil }); err != nil {
		return nil
	}
	return locked
}

func (r *reporter) collect(metrics chan<- prometheus.Metric) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), r.config.Timeout)
	defer cancel()
	r.role.used()
	if time.Since(r.looked) >= r.config.Interval {
		reports, err := r.role.take(ctx)
		if err == nil && reports {
			r.all, err = r.config.Status(ctx)
		}
		if err != nil && (r.err == nil || err.Error() != r.err.Error()) {
			r.config.Logger.WarnContext(ctx, "metrics: the status of the consumers can't be read", "error", err)
		}
		r.locked = nil
		if reports || err != nil {
			r.locked = r.lockedTables()
		}
		r.looked, r.err = time.Now(), err
	}
	held := r.role.held()
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	switch {
	case r.err != nil: // nobody may be able to say more
		gauge(upDesc, 0)
	case !held:
		gauge(reporterDesc, 0)
		return
	default:
		gauge(upDesc, 1)
	}
	gauge(reporterDesc, truth(held))
	for table, seconds := range r.locked {
		gauge(lockedDesc, seconds, table)
	}
	if r.err == nil {
		r.report(gauge)
	}
}

// standsAs is a consumer's state, whichever node one looks from: a node stands by for what another one runs.
func standsAs(status consumer.Status) consumer.State {
	if status.State == consumer.Standby && status.Node != "" {
		return consumer.Live
	}
	return status.State
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// report says what was last seen.
func (r *reporter) report(gauge func(*prometheus.Desc, float64, ...string)) {
	head := 0.0
	for _, status := range r.all {
		of := labels(status.ID())
		gauge(positionDesc, float64(status.Position), of...)
		if status.Behind >= 0 {
			gauge(behindDesc, float64(status.Behind), of...)
		}
		gauge(lagDesc, status.Lag.Seconds(), of...)
		for _, state := range states {
			gauge(stateDesc, truth(state == standsAs(status)), append(of, string(state))...)
		}
		failing := 0.0
		if status.Failure != nil {
			failing = max(0, time.Since(status.Failure.Since).Seconds())
		}
		gauge(failingDesc, failing, of...)
		gauge(debtDesc, float64(status.Parked+status.Skipped), of...)
		if replay := status.Rebuild; replay != nil && replay.Running && replay.Total > 0 {
			gauge(rebuildDesc, min(1, float64(replay.Events)/float64(replay.Total)), of...)
		}
		if status.VerifyEvery > 0 {
			gauge(everyDesc, status.VerifyEvery.Seconds(), of...)
		}
		reportVerify(gauge, status.Verify, of)
		head = max(head, float64(status.Head))
	}
	gauge(headDesc, head)
}

// reportVerify says what is known of a projection's verifications.
func reportVerify(gauge func(*prometheus.Desc, float64, ...string), verify *consumer.Replay, of []string) {
	if verify == nil {
		return
	}
	if !verify.Running {
		gauge(untoldDesc, truth(verify.Phase == "failed"), of...)
	}
	if verify.Equal == nil {
		return
	}
	gauge(equalDesc, truth(*verify.Equal), of...)
	gauge(differDesc, float64(verify.Different), of...)
	told := verify.Told
	if told.IsZero() && verify.Phase == "done" { // by an older program
		told = verify.Ended
	}
	if !told.IsZero() {
		gauge(verifiedDesc, float64(told.UnixMilli())/1000, of...)
	}
}

func (r *reporter) close(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.looked = time.Now()
	return r.role.close(ctx)
}
