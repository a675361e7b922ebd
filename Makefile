STATICCHECK   := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOLANGCI_LINT := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

# each runs a command in every module. Without go.work, so that each is built
# as its own go.mod says.
each = for module in . operate internal/jetstream dancefinder; do (cd $$module && GOWORK=off $(1)) || exit 1; done

# What is compiled in one clone is good for another one. What only debuggers read is left out: a tenth of the time of compiling.
export GOFLAGS := $(shell go env GOFLAGS) -trimpath -gcflags=all=-dwarf=false -ldflags=-w

.DEFAULT_GOAL := help
.PHONY: help demo test test-root test-reconnect test-large-dancefinder test-dancefinder test-operate test-jetstream test-brokers test-beside screenshots chromium promtool soak check lint generate bench bench-large profile cgo

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Run DanceFinder end to end on private servers; in a terminal it stays up
	@# Not by go run, which makes an error of a Ctrl-C; nor does the shell end by it.
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && trap : INT && \
		go build -o "$$folder/dancefinder" ./dancefinder/cmd/dancefinder && "$$folder/dancefinder" demo

# First all is compiled, by both cores, while what is missing is installed, which mostly waits. Then the large packages run alone, which keep two cores and
# their servers busy, four tests at a time as many wait for clocks, and the others two at a time. Tests that mostly wait for
# brokers to come back run beside the last of those, and the checks. What go vet finds, check finds.
test: cgo ## Run the tests of all modules, and the checks
	@echo "compiling all modules and their tests"
	@{ $(MAKE) --no-print-directory chromium promtool && go run ./internal/services -rabbitmq -install; } & installs=$$!; \
		for module in . operate dancefinder; do (cd $$module && GOWORK=off go list -export -race -test -deps ./... >/dev/null) || failed=1; done; \
		wait $$installs && [ -z "$$failed" ]
	go run ./internal/services -rabbitmq -install -- $(MAKE) --no-print-directory --keep-going test-root test-reconnect test-large-dancefinder test-beside

large = readview|eventsourced/pgstore|eventsourced/messaging|cmd/dancefinder|web/browser
packages = $$(go list ./... | grep $(1) -E "/($(large))$$")
brokers = ^Test(BrokerKilled|BrokerInTrouble)$$
gotest = go test -vet=off -race -timeout 15m -skip "$(brokers)|^TestCluster$$"

test-root:
	@export GOWORK=off; $(gotest) -p 1 -parallel 4 $(call packages); large=$$?; $(gotest) -p 2 $(call packages,-v) && exit $$large

test-large-dancefinder:
	@cd dancefinder && export GOWORK=off && $(gotest) -p 1 -parallel 4 $(call packages)

test-dancefinder:
	@cd dancefinder && export GOWORK=off && $(gotest) -p 2 $(call packages,-v)

test-operate:
	@cd operate && GOWORK=off $(gotest) -p 2 ./...

# Without the race detector: what is ours in it is tested with it elsewhere, and NATS is large.
test-jetstream:
	@cd internal/jetstream && GOWORK=off go test -vet=off -timeout 5m ./...

# Watermill's suite trips the race detector: it has the build constraint !race.
test-reconnect:
	GOWORK=off go test -vet=off -timeout 5m -run "^TestReconnect$$" ./eventsourced/messaging ./eventsourced/watermillsql

# Without the race detector, for the others' sake: it doubles their work. TestUnreliableBroker and
# amqpbus' own tests go the same ways with it. TestCluster takes two minutes of both cores: see soak.
test-brokers:
	GOWORK=off go test -vet=off -timeout 15m -run "$(brokers)" ./readview

test-beside:
	@$(MAKE) --no-print-directory test-brokers & \
		$(MAKE) --no-print-directory --keep-going test-dancefinder test-operate test-jetstream check; others=$$?; wait $$! && exit $$others

screenshots: chromium ## Write pictures of the page to dancefinder/web/screenshots, to be looked at
	cd dancefinder && SCREENSHOTS=$(CURDIR)/dancefinder/web/screenshots GOWORK=off go test -count=1 -run "^TestPages$$" ./web/browser

# These repeat what they leave to chance, see internal/soak.
campaigns = ^Test(RabbitMQCluster|Cluster|BrokerKilled|RelayThatWasOffForLong|SlowProjectionOfALongHistory|KilledAtEveryPoint|RelayKilledAtEveryPoint|ReactorKilledAtEveryPoint|TransactionsKilledAtEveryPoint|InboxKilled|RebuildKilledAtEveryPoint|RebuildKilledAtRandom|RebuildWhenNodesRunAndWritersAppend|ReadersNoticeNothingOfARebuild|PagesAreInvisible|NodesComeAndGo|StoppedNodeIsTakenOverAndDoesNoHarm|ResetsWhileFourWritersAppend|LostConnectionsLoseNothing|ConsistencyReadsWhatWasWritten|UnreliableBroker|AppendsThatGoTogether)$$

soak: chromium promtool ## Run longer campaigns: brokers and nodes that are killed, a legacy database of full size, faults and their alerts, the time of a first visit; about two hours
	SOAK=1 GOWORK=off go run ./internal/services -rabbitmq -install -- go test -p 1 -timeout 3h -v -run "$(campaigns)" ./devservices ./inbox ./readview ./eventsourced/...
	SOAK=1 go run ./internal/services -install -- go test -timeout 1h -v -run "^Test(Alerts|AdoptLegacy|ReadYourOwnWrites|ProjectionReplay|ImportTakesNoMemoryForRows)$$" ./dancefinder/cmd/dancefinder ./dancefinder/graph ./dancefinder/projections ./dancefinder/importer
	cd dancefinder && SOAK=1 GOWORK=off go test -count=1 -v -run "^TestFirstView$$" ./web/browser

# Of dancefinder/graph, what go generate makes.
generated = find dancefinder/graph/internal dancefinder/graph/documents dancefinder/graph/schema.graphql -type f | sort | xargs cat | cksum

# The other modules are looked at as their tests have compiled them, with -race, not compiled once more.
check: promtool ## Check format, vet, staticcheck, alert rules, generated code, go.mod and go.work.sum; part of test
	@unformatted=$$(gofmt -l .) && if [ -n "$$unformatted" ]; then echo "not formatted by gofmt:"; echo "$$unformatted"; exit 1; fi
	for module in . internal/jetstream; do (cd $$module && export GOWORK=off && go vet ./... && go run $(STATICCHECK) ./...) || exit 1; done
	for module in operate dancefinder; do (cd $$module && export GOWORK=off GOFLAGS="$$(go env GOFLAGS) -race" && go vet ./... && go run -race=false $(STATICCHECK) ./...) || exit 1; done
	promtool check rules docs/monitoring/alerts.yml
	promtool test rules docs/monitoring/alerts_test.yml
	@before=$$($(generated)); (cd dancefinder && GOWORK=off go generate ./graph) && [ "$$before" = "$$($(generated))" ] || \
		{ echo "the generated code of dancefinder/graph was not current: commit what it is now"; exit 1; }
	$(call each,go mod tidy -diff)
	@before=$$(cat go.work.sum); for command in "list -m all" "list -deps ./... ./operate/... ./internal/jetstream/... ./dancefinder/..." "doc ./readview"; do go $$command >/dev/null || exit 1; done; \
		[ "$$before" = "$$(cat go.work.sum)" ] || { echo "go.work.sum was not complete: commit what it is now"; exit 1; }

lint: ## Run golangci-lint; the first time it takes minutes to build
	$(call each,go run $(GOLANGCI_LINT) run)

generate: ## Run go generate
	$(call each,go generate ./...)

bench: ## Compare with named baselines on a PostgreSQL with the durability of production; bench.json
	cd internal/bench && GOWORK=off go run . -json ../../bench.json $(BENCH)

bench-large: ## Compare a log of 100 million events (or EVENTS=10000000) with one of a million, and time the admin page on one of ten; an hour, 70 GB
	cd internal/bench && GOWORK=off go run . -large $(or $(EVENTS),100000000)
	GOWORK=off go run ./internal/services -install -- go test -run "^$$" -bench "^Benchmark(Inspector|Pages)$$" ./eventsourced/pgstore ./readview/readviewui

profile: ## Run the catch-up of the benchmarks with a CPU profile, cpu.prof
	cd internal/bench && GOWORK=off go run . -only '^(catch-up|allocations)$$' -cpuprofile ../../cpu.prof
	go tool pprof -top -cum cpu.prof | head -40

# The race detector needs cgo, and cgo a C compiler.
cgo:
	@command -v $$(go env CC) >/dev/null || { \
		sudo=; [ "$$(id -u)" = 0 ] || sudo="sudo -n"; \
		echo "no C compiler for the race detector: installing gcc with apt-get"; \
		{ $$sudo apt-get update; $$sudo apt-get install -y --no-install-recommends gcc libc6-dev; } >/dev/null 2>&1; \
		command -v $$(go env CC) >/dev/null || { echo "install a C compiler: \`apt-get install gcc libc6-dev\` on Debian, \`xcode-select --install\` on macOS"; exit 1; }; }

# The tests of the page use it in a browser: in the headless shell, which takes half of what a whole
# Chromium does, or in that where there is no shell to install.
chromium:
	@command -v chromium-headless-shell >/dev/null || command -v chrome-headless-shell >/dev/null || { \
		have() { command -v chromium || command -v chromium-browser || command -v google-chrome; }; \
		have >/dev/null && ! apt-cache show chromium-headless-shell >/dev/null 2>&1; } || { \
		sudo=; [ "$$(id -u)" = 0 ] || sudo="sudo -n"; install="$$sudo apt-get install -y --no-install-recommends"; \
		echo "no headless Chromium for the tests of the page: installing it with apt-get"; \
		{ $$sudo apt-get update; $$install chromium-headless-shell || $$install chromium; } >/dev/null 2>&1; \
		command -v chromium-headless-shell >/dev/null || have >/dev/null || { echo "install Chromium: \`apt-get install chromium-headless-shell\` on Debian"; exit 1; }; }

# It tests the alert rules.
promtool:
	@command -v promtool >/dev/null || { \
		sudo=; [ "$$(id -u)" = 0 ] || sudo="sudo -n"; \
		echo "no promtool for the alert rules: installing prometheus with apt-get"; \
		{ $$sudo apt-get update; $$sudo apt-get install -y --no-install-recommends prometheus; } >/dev/null 2>&1; \
		command -v promtool >/dev/null || { echo "install promtool: \`apt-get install prometheus\` on Debian"; exit 1; }; }
