# What a newcomer needs: make demo, make test. `make` alone prints this list.

BIN     := bin/brotally
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
FUZZ    ?= 300000x
GOTEST_FLAGS ?=
export CGO_ENABLED ?= 0

.DEFAULT_GOAL := help
.PHONY: help demo build reproduce test test-race test-kafka test-clients test-browser screenshots lint fuzz bench bench-go bench-browser bench-compare clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## a broker, traffic, tables and a page, in one command
	go run ./cmd/brotally demo

build: ## a static binary in bin/
	go build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/brotally

reproduce: ## build what is committed in two places and compare: the same source must give the same binary
	@dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; \
	for at in one two/further/down; do \
	  git clone -q . "$$dir/$$at" && $(MAKE) -s -C "$$dir/$$at" build BIN=$(BIN) || exit 1; \
	done; \
	cmp "$$dir/one/$(BIN)" "$$dir/two/further/down/$(BIN)" && sha256sum <"$$dir/one/$(BIN)"

test: ## all tests that need nothing but Go; under three minutes on two cores
	go test $(GOTEST_FLAGS) ./...

test-race: ## the tests that run in one process, under the race detector (needs a C compiler)
	CGO_ENABLED=1 GORACE=suppressions=$(CURDIR)/tests/race.supp go test -race $(GOTEST_FLAGS) $$(go list ./... | grep -vE '/tests($$|/faults|/pipeline)')

test-kafka: ## the whole-program tests against a real Kafka broker and a schema registry (Java 17, Maven, Python; the broker is BROKERS=host:9092 if set)
	tests/kafka/run.sh $(GOTEST_FLAGS)

# Debian's psql, its bro-cut (an older name of zeek-cut) and PostgreSQL's JDBC driver are tested where they are: PSQL=, ZEEK_CUT=, JDBC= say where.
PSQL ?= $(shell command -v psql)
ZEEK_CUT ?= $(shell command -v zeek-cut || command -v bro-cut)
JDBC ?=

test-clients: ## clients from elsewhere: what docs/HTTP.md, docs/POSTGRES.md and the notebook say of Python, psql, JDBC, zeek-cut, schemathesis (Python 3.11 or newer; its packages come from PyPI into bin/)
	python3 -m venv bin/python
	bin/python/bin/pip install -q --disable-pip-version-check pandas==3.1.1 pyarrow==26.0.1 duckdb==2.0.1 polars==2.1.0 'psycopg[binary]==3.3.9' sqlalchemy==2.1.9 \
	  nbclient==0.11.0 ipykernel==7.4.0 matplotlib==3.11.2 confluent-kafka==2.16.1
	python3 -m venv bin/schemathesis
	bin/schemathesis/bin/pip install -q --disable-pip-version-check schemathesis==4.32.5
	PYTHON=$(CURDIR)/bin/python/bin/python SCHEMATHESIS=$(CURDIR)/bin/schemathesis/bin/schemathesis PSQL=$(PSQL) ZEEK_CUT=$(ZEEK_CUT) JDBC=$(JDBC) \
	  go test $(GOTEST_FLAGS) ./views ./views/pgwire ./tests -run 'TestPython|TestSchemathesis|TestPsql|TestJDBC|TestZeekCut'

# axe-core finds what keeps people out of a page. It is fetched from npm's registry as the one file that this sum is of.
AXE_VERSION := 4.14.1
AXE_SHA512  := 1477dafa598d8d065f273d6af302aa203c02e83131707b7fa648cd41bd3d6b734f8c22a0dab86ee6a6f64b8afbe804b214d36db85a2826965edfb3a0b9d546b5
AXE         ?= $(CURDIR)/bin/axe-core-$(AXE_VERSION)/axe.min.js

$(AXE):
	@mkdir -p $(@D)
	curl -fsSL -o $(@D)/package.tgz https://registry.npmjs.org/axe-core/-/axe-core-$(AXE_VERSION).tgz
	echo '$(AXE_SHA512)  $(@D)/package.tgz' | sha512sum --check --quiet
	tar -xzf $(@D)/package.tgz -C $(@D) --strip-components=1 package/axe.min.js package/LICENSE
	@touch $@

test-browser: $(AXE) ## the pages in a real browser: what they do, what keeps people out of them, what log lines can do to them (Chromium; axe-core comes from npm's registry into bin/)
	BROTALLY_REQUIRE_BROWSER=1 AXE=$(AXE) go test -timeout 20m $(GOTEST_FLAGS) ./web ./views ./tests/browser -run "$$(grep -rl --include='*_test.go' 'testbrowser\.Start' . | \
	  xargs grep -ho '^func Test[A-Za-z0-9_]*' | sed 's/^func \(.*\)/^\1$$/' | paste -sd '|')"

screenshots: build ## draw docs/images anew: the demo's pages, as the browser shows them
	BROTALLY_REQUIRE_BROWSER=1 BROTALLY=$(CURDIR)/$(BIN) IMAGES=$(CURDIR)/docs/images go test -count=1 ./tests/browser -run 'TestScreenshots$$'

lint: ## vet, staticcheck, gofmt
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo 'gofmt: the files above are not formatted'; exit 1; }
	go vet ./...
	go vet -tags faults ./...
	go tool staticcheck ./...

fuzz: ## every fuzz target for FUZZ=300000x runs each (or a time: 60s)
	@go list -f '{{.Dir}}' ./... | while read -r dir; do \
	  for target in $$(grep -ho '^func Fuzz[A-Za-z0-9_]*' $$dir/*_test.go 2>/dev/null | sed 's/func //'); do \
	    echo "fuzz $$dir $$target"; (cd $$dir && go test $(GOTEST_FLAGS) -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZ) .) || exit 1; \
	  done; done

# given FLAG VARIABLE: the flag, if the variable is set, be it to nothing
given = $(if $(filter-out undefined,$(origin $2)),-$1 '$($2)')

bench: ## beside others on a real broker: PARTS="throughput latency lookups restore members many growth" PEERS="kstreams-eos flink-minibatch" RECORDS=5000000 RUNS=3 (docs/BENCHMARKS.md)
	go run ./tests/bench $(call given,parts,PARTS) $(call given,peers,PEERS) $(call given,topics,TOPICS) $(call given,records,RECORDS) $(call given,rows,ROWS) \
	  $(call given,runs,RUNS) $(call given,rates,RATES) $(call given,seconds,SECONDS) $(call given,brokers,BROKERS) $(call given,out,OUT) \
	  $(call given,axes,AXES) $(call given,charts,CHARTS)

bench-go: ## benchmarks of the pieces: MATCH=regexp BENCH_PACKAGES=./...
	go test -run '^$$' -bench '$(or $(MATCH),.)' -benchmem $(or $(BENCH_PACKAGES),./...)

bench-browser: ## the pages over a million rows in a real browser: four minutes a run, RUNS=1 (Chromium)
	BROTALLY_REQUIRE_BROWSER=1 go test -timeout 60m -run '^$$' -bench 'Page' -benchtime 1x -count $(or $(RUNS),1) ./tests/browser

bench-compare: ## the pieces at BASE=commit and here, turn about RUNS=6 times, compared by benchstat
	@test -n '$(BASE)' || { echo 'bench-compare: say with what: BASE=commit'; exit 1; }
	go run ./tests/bench -parts pieces -base '$(BASE)' -runs $(or $(RUNS),6) $(call given,match,MATCH) $(call given,packages,BENCH_PACKAGES) $(call given,benchtime,BENCHTIME) $(call given,out,OUT)

clean: ## remove what the build made
	rm -rf bin
