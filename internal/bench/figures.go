package main

// figures returns all figures in the order in which they are measured.
func figures() []figure {
	all := []figure{
		{
			name: "catch-up", unit: "events/s", baseline: txPerEvent, goal: "35 times it, 15 times watermill-sql, 0.85 of the pgx loop",
			prepare: prepareCatchUp,
		},
		{
			name: "dancefinder catch-up", unit: "events/s", baseline: pgxLoop, goal: "1.5", prepare: prepareDanceFinder,
		},
		{
			name: "INSERT of 8 columns", unit: "events/s", baseline: insertSelect, goal: "0.8", prepare: prepareWide,
		},
	}
	for _, h := range []struct {
		name, baseline, goal string
		job                  job
	}{
		{"handler: look-up, then UPDATE", pgxLoop, "1", lookUpJob},
		{"handler: look-up, then UPDATE, declared", setsByHand, "0.7", lookUpJob.declaring(lookUpAmount)},
		{"handler: INSERT RETURNING, then INSERT", pgxLoop, "1", returningJob},
		{"handler: PrepareContext, upsert", pgxLoop, "1", preparedJob},
		{"handler: UPDATE, RowsAffected, else INSERT", pgxLoop, "1", countedJob},
		{"handler: upsert of 10 hot keys", setsByHand, "0.8", hotJob},
		{"handler: INSERT into two tables in turn", setsByHand, "0.8", turnsJob},
		{"handler: counter", setsByHand, "0.8", counterJob},
		{"handler: UPDATE by id", setsByHand, "0.8", updateJob},
		{"handler: DELETE by id", setsByHand, "0.8", deleteJob},
		{"handler: mixed", setsByHand, "0.4", mixedJob},
		{"handler: mixed, declared", setsByHand, "0.7", mixedJob.declaring(lookUpTotal)},
	} {
		all = append(all, figure{name: h.name, unit: "events/s", baseline: h.baseline, goal: h.goal, prepare: prepareHandler(h.job)})
	}
	for _, a := range []struct {
		writers int
		goal    string
	}{{1, "0.9"}, {16, "1.4"}, {64, "2.5"}, {256, "4.5"}} {
		all = append(all, appendFigure(a.writers, a.goal))
	}
	return append(all,
		figure{name: "64 writers on 16 aggregates", unit: "updates/s", baseline: ownAggregates, goal: "0.8",
			prepare: prepareCrowd(func(updates, _ float64) float64 { return updates })},
		figure{name: "64 writers on 16 aggregates, given up", unit: "%", goal: "0",
			prepare: prepareCrowd(func(_, conflicts float64) float64 { return conflicts })},
		figure{name: "append to visible, p50", unit: "ms", baseline: plainCommit, goal: "at most 5", prepare: prepareLatency(0.50)},
		figure{name: "append to visible, p99", unit: "ms", baseline: plainCommit, goal: "at most 25", prepare: prepareLatency(0.99)},
		figure{name: "log of 3 million", unit: "events/s", baseline: "log of 100,000", goal: "0.85", prepare: prepareSize},
		figure{name: "sparse, 1% of a million", unit: "events/s", baseline: "alone in a log", goal: "0.5", prepare: prepareSparse},
		figure{name: "peak heap", unit: "MiB", baseline: "log of 100,000", goal: "at most 64 MiB", prepare: prepareHeap},
		figure{name: "allocations", unit: "an event", goal: "at most 25", prepare: prepareAllocations},
		figure{name: "missed or repeated", unit: "events", goal: "0", prepare: prepareCorrectness},
		figure{name: "relay with confirms", unit: "events/s", baseline: bareClient, goal: "5,000 events/s", prepare: prepareRelay},
		figure{name: "remote catch-up", unit: "events/s", baseline: live, goal: "30", prepare: prepareRemote},
		figure{name: "remote live, quorum queue", unit: "events/s", baseline: live, goal: "1.5", prepare: prepareAhead},
		figure{name: "idle, 10 projections, 1 node", unit: "statements/s", onceOnly: true, prepare: prepareIdle(1)},
		figure{name: "idle, 10 projections, 3 nodes", unit: "statements/s", goal: "under 30", onceOnly: true, prepare: prepareIdle(3)},
		figure{name: "irrelevant, 200 events/s", unit: "statements/s", goal: "under 300", onceOnly: true,
			prepare: prepareIrrelevant(func(c cost) float64 { return c.statements })},
		figure{name: "irrelevant, WAL", unit: "KiB/s", goal: "under 30", onceOnly: true,
			prepare: prepareIrrelevant(func(c cost) float64 { return c.wal })},
		figure{name: "together", unit: "s", baseline: "one", goal: "at most 2.2", prepare: prepareTogether},
		figure{name: "status far behind", unit: "ms", goal: "under 20", onceOnly: true, prepare: prepareFarBehind},
		figure{name: "visible with 8 projections", unit: "ms", baseline: "one", goal: "at most 3",
			prepare: prepareVisible(0.50, "one", map[string]int{"eight": 8, "one": 1})},
		figure{name: "visible elsewhere, p50", unit: "ms", baseline: plainCommit, goal: "at most 4", prepare: prepareElsewhere(0.50)},
		figure{name: "visible elsewhere, p99", unit: "ms", baseline: plainCommit, goal: "at most 20", prepare: prepareElsewhere(0.99)},
		figure{name: "peers: append to new accounts", unit: "appends/s", baseline: ours, prepare: preparePeers(peerAppend)},
		figure{name: "peers: load 100 events", unit: "loads/s", baseline: ours, prepare: preparePeers(peerLoad)},
		figure{name: "peers: project", unit: "events/s", baseline: ours, prepare: preparePeers(peerProject)},
	)
}

// Names of contenders.
const (
	ours         = "ours"
	txPerEvent   = "a transaction per event"
	stock        = "watermill-sql"
	pgxLoop      = "pgx loop"
	setsByHand   = "sets by hand"
	insertSelect = "INSERT..SELECT"
	plain        = "plain INSERT"
	plainCommit  = "plain commit"
	bareClient   = "amqp091 client"
	inPages      = "history in pages"
	live         = "a message an event"
	ahead        = "100 sent ahead"

	ownAggregates = "their own aggregates"

	stockPublisher = "watermill-amqp"
)
