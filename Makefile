# Mailroot. `make run` starts a relay on this machine, `make test` tests everything.
#
#   run     build, write ./mailroot-data/mailroot.hcl the first time, start on 127.0.0.1:2525
#   build   ./bin/mailroot
#   quick   build, vet, import table, unit and script tests          (3 minutes at most, warm)
#   test    quick, and race, simulation, real peers, kill -9 rounds, kernel faults, fuzzing, other systems, lint
#                                                             (40 minutes at most, 2 cores, cold)
#   bench   Go benchmarks, then the relay beside Postfix, against its bars      (an hour and a half)
#   soak    1,000 seeds of simulated trouble, 200 kill rounds, kernel faults, then fuzzing until it is interrupted
#   peers   only install what the tests talk to (below .cache/, asks first)
#   clean   remove ./bin and ./.cache, not ./mailroot-data
#
# Each suite of quick, test and soak has a budget in seconds (test/tools/suites.sh).

GO   ?= go
DATA ?= ./mailroot-data
CONF  = $(DATA)/mailroot.hcl

# A tree that git does not trust (another owner) can still be built.
GOFLAGS ?= -buildvcs=false

export GO GOFLAGS

.PHONY: run build quick test bench soak peers clean

build:
	@mkdir -p bin
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/mailroot ./cmd/mailroot

run: build
	@mkdir -p "$(DATA)"
	@./bin/mailroot init --if-missing --loopback --data "$(DATA)" --out "$(CONF)"
	@exec ./bin/mailroot run --config "$(CONF)"

quick test soak:
	@./test/tools/suites.sh $@

bench:
	@./test/tools/peers.sh
	$(GO) test -run '^$$' -bench . -benchmem -timeout 60m ./internal/...
	MAILROOT_BENCH=1 $(GO) test -count=1 -v -timeout 3h ./test/load/...

peers:
	@./test/tools/peers.sh

clean:
	rm -rf bin .cache
