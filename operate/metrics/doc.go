// Package metrics makes Prometheus metrics of a log and of what goes through it: projections,
// relays, reactors. A program makes one [Metrics], registers it, and gives it to the log's store
// and to all consumers as their observer:
//
//	var manager *readview.Manager // made with m, and asked by m later
//	m := metrics.New(metrics.Config{Pool: pool, Status: func(ctx context.Context) ([]consumer.Status, error) {
//		return manager.Status(ctx)
//	}})
//	prometheus.MustRegister(m)
//	store := pgstore.New(pool, registry, pgstore.Config{Observer: m})
//	manager, err := readview.NewManager(nil, store, pool, readview.Config{Config: consumer.Config{Observer: m}}, balances)
//
// Each node counts what happens on it:
//
//	eventlog_appends_total{outcome}        appends that were "appended", in "conflict" or in "error"
//	eventlog_appended_events_total         events of those that were appended
//	eventlog_append_seconds                transactions that append
//	eventlog_group_size                    appends that went together in one
//	eventlog_lock_wait_seconds             waits for the log's lock, when they are over
//	consumer_refused                       kind, name; 1 for what this program may not run, of each node
//	eventlog_table_lock_waiting_seconds    table; for how long a session waits for a lock on a table of the log or of the consumers, 0 without
//	eventlog_lock_waiting_seconds          the longest that goes on, 0 while none has for a second
//	consumer_events_total{kind,name}       events handled
//	consumer_page_seconds{kind,name}       handling of a page or a group of them
//	consumer_failures_total{kind,name,category}  tries that failed: a "panic", at an "event", or "other"
//	consumer_parked_total, consumer_stalls_total, consumer_resets_total, consumer_rebuilds_total{kind,name}
//
// How consumers stand in the database, whichever node runs them, is reported by one node of all: the one with
// consumer_reporter 1, which keeps one connection of its own for that. Another node takes over at its next scrape when that
// one ends, 15 seconds after it is frozen or cut off, as the server then ends its
// silent session (from PostgreSQL 14 on; before, when TCP's keepalive finds out), and when it has not been scraped for two
// minutes:
//
//	consumer_status_up                     1 if that could be read
//	eventlog_head_position                 microseconds since 1970, of the newest event
//	consumer_position{kind,name}           likewise, all up to it is done
//	consumer_events_behind{kind,name}      up to 10,000
//	consumer_lag_seconds{kind,name}        the wait of the first of them
//	consumer_state{kind,name,state}        1 for the state that it has, 0 for the others
//	consumer_failing_seconds{kind,name}    since what keeps it from getting on began, 0 without
//	consumer_debt_events{kind,name}        parked, or of a projection skipped; what a reactor has skipped is settled
//	consumer_rebuild_ratio{kind,name}      of a rebuild that runs, 0 to 1
//	consumer_verify_equal{kind,name}       what the last verification found, 1 or 0, until the projection is reset, rebuilt or rolled back
//	consumer_verify_different_rows{kind,name}  rows in which it found a difference: unlike the one above, no skipped or parked events
//	consumer_verify_timestamp_seconds{kind,name}  when that was
//	consumer_verify_failed{kind,name}      1 if the last one could not tell; nothing while one runs
//	consumer_verify_interval_seconds{kind,name}  how long after one the next begins, where they are on schedule, by the configuration of the node that reports
//
// There are at most 38 series for each consumer, 13 of them a histogram, and 48 of the log: their number does not depend on
// events, streams or errors. A scrape reads a row for each consumer and counts at most 10,000 events of an index for one
// that is behind, at most once in [Config.Interval].
package metrics
