#!/bin/sh
# suites.sh quick|test|soak
#
# Runs the suites of a level one after the other, all of them even if one fails. Each prints its
# seconds and its budget; a suite over its budget has failed. The last suite, test/budget, is a Go
# test that reads what was written down here and gives the verdict, so that the output of a run
# ends as that of `go test` does.
#
# MAILROOT_ONLY="race fuzz" runs these suites alone.
set -u
level=${1:-}
case $level in quick | test | soak) ;; *)
	echo "usage: suites.sh quick|test|soak" >&2
	exit 2
	;;
esac
cd "$(dirname "$0")/../.." || exit 1
GO=${GO:-go}
# A tree that git does not trust (another owner) can still be built.
GOFLAGS=${GOFLAGS:--buildvcs=false}
export GOFLAGS
# What peers.sh has unpacked is found by the tests that look for it by name.
PATH=$PWD/.cache/peers/bin:$PATH
export PATH
cache=$PWD/.cache
mkdir -p "$cache" bin
results=$cache/suites.tsv
: >"$results"

# suite NAME BUDGET COMMAND...
suite() {
	name=$1 budget=$2
	shift 2
	case " ${MAILROOT_ONLY:-$name} " in *" $name "*) ;; *) return 0 ;; esac
	printf '== %s: %s\n' "$name" "$*"
	start=$(date +%s)
	if "$@" </dev/null; then status=passed; else status=failed; fi
	took=$(($(date +%s) - start))
	[ "$took" -le "$budget" ] || status="$status, over budget"
	printf '== %s: %s in %d s (budget %d s)\n\n' "$name" "$status" "$took" "$budget"
	printf '%s\t%d\t%d\t%s\n' "$name" "$took" "$budget" "$status" >>"$results"
}

# gotest BUDGET ARGUMENTS...: a test that hangs is ended with all its stacks at twice its budget.
gotest() {
	limit=$(($1 * 2))
	shift
	"$GO" test -timeout "${limit}s" "$@"
}

compile() {
	CGO_ENABLED=0 "$GO" build -trimpath -o bin/mailroot ./cmd/mailroot && "$GO" build ./... && "$GO" vet ./...
}

format() {
	bad=$("$("$GO" env GOROOT)"/bin/gofmt -l cmd internal test) || return 1
	[ -z "$bad" ] || {
		printf 'not as gofmt writes it:\n%s\n' "$bad"
		return 1
	}
}

# other GOOS: everything compiles there, tests included.
other() {
	CGO_ENABLED=0 GOOS=$1 "$GO" build ./... && CGO_ENABLED=0 GOOS=$1 "$GO" vet ./...
}

race() {
	if ! command -v "$("$GO" env CC)" >/dev/null; then
		echo "SKIPPED: race needs a C compiler (run make peers)"
		[ "${CI:-}" != true ]
		return
	fi
	CGO_ENABLED=1 gotest "$1" -short -race ./internal/... ./cmd/...
}

# Questions come first, so that nobody has to wait for them.
if [ "$level" != quick ]; then
	if ./test/tools/peers.sh -a; then MAILROOT_FETCH=yes; else MAILROOT_FETCH=no; fi
	export MAILROOT_FETCH
fi

verdict() { MAILROOT_SUITES=$results MAILROOT_LEVEL=$level exec "$GO" test -count=1 -v ./test/budget; }

status=
suite compile 300 compile
case $status in failed*) verdict ;; esac # the others could say nothing new
[ "$level" = quick ] || suite peers 300 ./test/tools/peers.sh
if [ "$level" = quick ] || [ "$level" = test ]; then
	suite imports 30 gotest 30 ./test/archtest/...
	# The store is made to fail at each place in turn; quick takes some of the places.
	[ "$level" = quick ] && short=-short || short=
	# shellcheck disable=SC2086 # nothing, or one word
	suite unit 240 gotest 240 $short ./internal/... ./cmd/...
	suite script 60 gotest 60 ./test/script/...
fi
if [ "$level" = test ]; then
	suite format 15 format
	suite staticcheck 120 "$GO" tool staticcheck ./...
	suite windows 120 other windows
	suite darwin 120 other darwin
	suite race 600 race 600
	suite simulation 240 gotest 240 -count=1 ./test/sim/...
	suite interop 300 gotest 300 -count=1 -v ./test/harness/... ./test/interop/... ./test/load/...
	suite moving 90 gotest 90 -count=1 -v ./test/moving/...
	suite corpus 60 gotest 60 -count=1 -v ./test/corpus/...
	suite kill 120 gotest 120 -count=1 -v ./test/kill/...
	suite fault 180 gotest 180 -count=1 -v ./test/fault/...
	suite fuzz 600 ./test/tools/fuzz.sh 180
fi
if [ "$level" = soak ]; then
	MAILROOT_KILL_ROUNDS=200 MAILROOT_TEST_RACE=1 MAILROOT_SIM_SEEDS=1000 MAILROOT_FAULT_ROUNDS=20
	export MAILROOT_KILL_ROUNDS MAILROOT_TEST_RACE MAILROOT_SIM_SEEDS MAILROOT_FAULT_ROUNDS
	suite simulation 3600 gotest 3600 -count=1 -v -run 'Seeds|FaultsAtEachSite' ./test/sim/...
	suite kill 1800 gotest 1800 -count=1 -v ./test/kill/...
	suite fault 1800 gotest 1800 -count=1 -v ./test/fault/...
	suite fuzz 999999999 ./test/tools/fuzz.sh forever
fi

verdict
