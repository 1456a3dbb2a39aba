#!/bin/sh
# fuzz.sh SECONDS | forever
#
# First every fuzz target runs over its corpus, the committed inputs and the seeds. Then the
# seconds are shared out evenly over all targets; "forever" goes round, a minute for each, until it
# is interrupted or a target fails. An input that fails is written to the testdata/fuzz folder of
# the package: commit it with the fix.
set -eu
cd "$(dirname "$0")/../.."
GO=${GO:-go}
seconds=${1:-180}
list=$(mktemp)
log=$(mktemp)
trap 'rm -f "$list" "$log"' EXIT

# one PACKAGE NAME: fuzzes for its share of the time.
#
# Up to Go 1.26 the end of -fuzztime can race with the end of a call and fail a target that found
# nothing (go.dev/issue/75804). That failure says "context deadline exceeded" and no more; an input
# that fails, a panic and a hang always say something else.
one() {
	"$GO" test -run '^$' -fuzz "^$2\$" -fuzztime "${each}s" "$1" >"$log" 2>&1 </dev/null && status=0 || status=$?
	if [ "$status" -ne 0 ] && grep -q '^ *context deadline exceeded$' "$log" &&
		! grep -q -v -e '^fuzz: elapsed:' -e '^--- FAIL: Fuzz' -e '^ *context deadline exceeded$' \
			-e '^FAIL' -e '^exit status 1$' "$log"; then
		grep '^fuzz: elapsed:' "$log"
		echo "$1 $2: the time ran out within a call, nothing was found (go.dev/issue/75804)"
		return 0
	fi
	cat "$log"
	return "$status"
}

# "FuzzX" lines, then "ok  PACKAGE  0.1s" for each package.
"$GO" test -list '^Fuzz' ./internal/... ./cmd/... | awk '
	/^Fuzz/ { names[n++] = $1 }
	/^(ok|\?)/ { for (i = 0; i < n; i++) print $2, names[i]; n = 0 }' >"$list"
count=$(wc -l <"$list")
[ "$count" -gt 0 ] || { echo "no fuzz target found"; exit 1; }

cut -d' ' -f1 "$list" | sort -u | xargs "$GO" test -timeout 120s -run '^Fuzz'

each=60
[ "$seconds" = forever ] || each=$((seconds / count))
[ "$each" -gt 0 ] || each=1
echo "$count fuzz targets, $each s each"
while :; do
	while read -r package name; do
		one "$package" "$name" || {
			echo "FAIL $package $name"
			exit 1
		}
	done <"$list"
	[ "$seconds" = forever ] || break
done
