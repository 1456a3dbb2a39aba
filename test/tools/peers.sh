#!/bin/bash
# peers.sh       fetches the real clients and servers that the tests talk to
# peers.sh -n    only says what is missing
# peers.sh -a    only asks whether to fetch it: exit code 0 for yes, or when nothing is missing
#
# Servers and test messages are Debian packages that are unpacked below .cache/peers and never
# installed: no service is set up, no user is made, no file outside this folder changes. So are
# the libraries that they need and this machine lacks. The interpreters and tools (python3, perl,
# node, curl, openssl, strace, a C compiler for the race detector) are installed by apt where they are
# missing: they start nothing. Without root they are named and the tests that need them are
# skipped by name. npm packages go below .cache/npm.
#
# Mail servers that Debian lets exclude each other stay packed, below .cache/peers/deb/NAME, with all
# that they need beyond the essential packages: the tests unpack each into a root of its own.
#
# Asks before it fetches anything, unless MAILROOT_FETCH says yes or no. With CI=true it does not
# ask, and something missing is a failure.
set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
cache=$PWD/.cache
root=$cache/peers/root
nodemailer=8.0.9
haraka=3.1.1
# Earlier ones have native code, later ones ask for a newer node.
haraka_email_message=1.3.4
mailparser=3.14.2

say() { printf 'peers: %s\n' "$*"; }
ci() { [ "${CI:-}" = true ]; }
# give_up MESSAGE: on CI a failure, else tests will be skipped by name
give_up() {
	say "$*"
	ci && exit 1
	exit 0
}

# --- what is missing -------------------------------------------------------------------------
tools=()   # packages to install
unpack=()  # packages to unpack
pack=()    # peers to keep packed, by name
npm=()     # npm packages
py=/usr/bin/python3

missing_tools() {
	tools=()
	command -v curl >/dev/null || tools+=(curl)
	command -v openssl >/dev/null || tools+=(openssl)
	[ -x $py ] && $py -c 'import smtplib, email' 2>/dev/null || tools+=(python3)
	perl -MSocket -MTime::Local -MMIME::Base64 -MSys::Hostname -e 1 2>/dev/null || tools+=(perl)
	command -v node >/dev/null || tools+=(nodejs)
	command -v npm >/dev/null || tools+=(npm)
	command -v "${CC:-cc}" >/dev/null || tools+=(gcc libc6-dev)
	[ -e /etc/ssl/certs/ca-certificates.crt ] || tools+=(ca-certificates)
	command -v strace >/dev/null || tools+=(strace)
}

testsuite() { $py -c 'import sys; print("libpython%d.%d-testsuite" % sys.version_info[:2])'; }

missing_unpacked() {
	unpack=()
	[ -x "$root/usr/sbin/smtp-sink" ] || unpack+=(postfix)
	[ -x "$root/usr/bin/swaks" ] || unpack+=(swaks libnet-ssleay-perl)
	[ -e "$root/usr/share/perl5/Mail/DeliveryStatus/BounceParser.pm" ] || unpack+=(libmail-deliverystatus-bounceparser-perl)
	if [ -x $py ]; then
		compgen -G "$root/usr/lib/python3*/test/test_email/data/msg_01.txt" >/dev/null || unpack+=("$(testsuite)")
	else
		unpack+=(libpython3-testsuite)
	fi
}

# packed NAME: the packages of a peer that is kept apart
packed() {
	case $1 in
	exim) echo exim4-daemon-light ;;
	sendmail) echo sendmail-bin sendmail-cf m4 ;;
	opensmtpd) echo opensmtpd ;;
	chasquid) echo chasquid ;;
	mono) echo mono-runtime mono-mcs libmono-system4.0-cil ;;
	esac
}
# packed_at NAME: where it lies. Mono runs from wherever it is unpacked.
packed_at() { if [ "$1" = mono ]; then echo "$cache/peers/mono"; else echo "$cache/peers/deb/$1"; fi; }

missing_packed() {
	pack=()
	local name
	for name in exim sendmail opensmtpd chasquid mono; do
		[ "$(cat "$(packed_at $name)/complete" 2>/dev/null)" = "$(packed $name)" ] || pack+=("$name")
	done
}

# All together, since npm takes away what it was not asked for.
npm_wanted() {
	printf '{"private":true,"dependencies":{"nodemailer":"%s","mailparser":"%s","Haraka":"%s"},"overrides":{"haraka-email-message":"%s"}}\n' \
		$nodemailer $mailparser $haraka $haraka_email_message
}
missing_npm() {
	npm=()
	[ "$(cat "$cache/npm/complete" 2>/dev/null)" = "$(npm_wanted)" ] ||
		npm=("nodemailer@$nodemailer" "mailparser@$mailparser" "Haraka@$haraka")
}

# wrap: .cache/peers/bin for PATH. Unpacked programs do not find their libraries by themselves.
wrap() {
	[ -x "$root/usr/sbin/smtp-sink" ] || return 0
	local program triplet=
	for program in "$root"/usr/lib/*-linux-gnu*; do [ ! -d "$program" ] || triplet=${program##*/}; done
	mkdir -p "$cache/peers/bin"
	for program in smtp-sink smtp-source; do
		{
			echo '#!/bin/sh'
			# shellcheck disable=SC2016 # for the script that is written
			echo 'root=$(cd "$(dirname "$0")/../root" && pwd)'
			echo "export LD_LIBRARY_PATH=\"\$root/usr/lib/postfix:\$root/usr/lib/$triplet\""
			echo "exec \"\$root/usr/sbin/$program\" \"\$@\""
		} >"$cache/peers/bin/$program"
		chmod +x "$cache/peers/bin/$program"
	done
}

missing_tools
missing_unpacked
missing_packed
missing_npm
wrap
[ $((${#tools[@]} + ${#unpack[@]} + ${#pack[@]} + ${#npm[@]})) -gt 0 ] || { say "all there"; exit 0; }
[ ${#tools[@]} -eq 0 ] || say "to install with apt: ${tools[*]}"
[ ${#unpack[@]} -eq 0 ] || say "to unpack below .cache/peers: ${unpack[*]}"
for name in "${pack[@]}"; do say "to keep below .cache/peers, with what it needs: $(packed "$name")"; done
[ ${#npm[@]} -eq 0 ] || say "to fetch from npm below .cache/npm: ${npm[*]}"
[ "${1:-}" != -n ] || exit 0
if ! command -v apt-get >/dev/null || ! command -v dpkg >/dev/null; then
	give_up "this is not Debian or Ubuntu: not fetched"
fi
agreed() {
	case ${MAILROOT_FETCH:-} in yes) return 0 ;; no) return 1 ;; esac
	# The answer comes from the terminal: the suites run without standard input.
	if ! (: </dev/tty) 2>/dev/null; then
		say "no terminal to ask (MAILROOT_FETCH=yes fetches without asking)"
		return 1
	fi
	local answer
	read -r -p "peers: fetch these now? [y/N] " answer </dev/tty
	[[ $answer = [yY]* ]]
}
if ! ci && ! agreed; then
	[ "${1:-}" != -a ] || exit 1
	give_up "not fetched: tests that need them are skipped by name"
fi
[ "${1:-}" != -a ] || exit 0

# --- apt -------------------------------------------------------------------------------------
mkdir -p "$root"
log=$cache/peers/apt.log
: >"$log"
apt=(apt-get -q -o Dpkg::Use-Pty=0)
# Where the package lists are too old or missing, lists of our own are fetched: that needs no root
# and leaves the machine's as they are.
own_lists() {
	[ "${#apt[@]}" -lt 6 ] || return 1
	say "fetching package lists"
	mkdir -p "$cache/peers/apt/lists/partial" "$cache/peers/apt/archives/partial"
	apt+=(-o "Dir::State::lists=$cache/peers/apt/lists" -o "Dir::Cache=$cache/peers/apt" -o APT::Sandbox::User=root)
	"${apt[@]}" update >>"$log" 2>&1 || { tail -5 "$log"; return 1; }
}
# twice FUNCTION: once more with lists of our own. (Not a command: apt changes between.)
twice() { "$@" >>"$log" 2>&1 || { own_lists && "$@" >>"$log" 2>&1; }; }

run_install() {
	DEBIAN_FRONTEND=noninteractive "${apt[@]}" install -y --no-install-recommends --no-remove "${tools[@]}"
}
install_tools() {
	# Nothing is removed, replaced or started. policy-rc.d is Debian's way to say that no service
	# may start while packages are installed; one that is there already stays.
	local policy=/usr/sbin/policy-rc.d made=
	if [ ! -e $policy ]; then
		printf '#!/bin/sh\nexit 101\n' >$policy
		chmod +x $policy
		made=$policy
		# shellcheck disable=SC2064 # now, not later
		trap "rm -f $made" EXIT
	fi
	local status=0
	twice run_install || status=1
	[ -z "$made" ] || rm -f "$made"
	trap - EXIT
	return $status
}
if [ ${#tools[@]} -gt 0 ]; then
	if [ "$(id -u)" = 0 ]; then
		install_tools || { tail -5 "$log"; say "could not install: ${tools[*]}"; }
	else
		say "not root, so not installed: ${tools[*]}"
	fi
fi

fetched=$cache/peers/fetched
fetch() { mkdir -p "$fetched" && (cd "$fetched" && "${apt[@]}" download "${all[@]}"); }
simulate() { "${apt[@]}" install -s --no-install-recommends "${unpack[@]}"; }
missing_unpacked
if [ ${#unpack[@]} -gt 0 ]; then
	twice simulate || { tail -5 "$log"; give_up "apt does not know: ${unpack[*]}"; }
	# What would be installed anew beside them: the libraries among it are unpacked too.
	mapfile -t libs < <(simulate 2>/dev/null | awk '/^Inst lib/ && $3 !~ /^\[/ { print $2 }')
	rm -rf "$fetched"
	mapfile -t all < <(printf '%s\n' "${unpack[@]}" "${libs[@]}" | sort -u | sed '/^$/d')
	twice fetch || { tail -5 "$log"; give_up "could not fetch: ${all[*]}"; }
	for deb in "$fetched"/*.deb; do dpkg -x "$deb" "$root"; done
	rm -rf "$fetched"
fi

# What is installed here says nothing of what is installed elsewhere: as if nothing were, the packages
# and all that they need, but not what is essential, which every Debian has.
as_if_empty() { "${apt[@]}" install -s --no-install-recommends -o Dir::State::status=/dev/null "$@"; }
closure() { as_if_empty "$@" 2>/dev/null | awk '/^Inst / { print $2 }' | sort -u; }
missing_packed
essential=
for name in "${pack[@]}"; do
	read -r -a wanted < <(packed "$name")
	twice as_if_empty "${wanted[@]}" || { tail -5 "$log"; give_up "apt does not know: ${wanted[*]}"; }
	: "${essential:=$(closure '?essential')}"
	mapfile -t all < <(comm -13 <(echo "$essential") <(closure "${wanted[@]}"))
	rm -rf "$fetched"
	twice fetch || { tail -5 "$log"; give_up "could not fetch: ${all[*]}"; }
	at=$(packed_at "$name")
	rm -rf "$at"
	mkdir -p "${at%/*}"
	if [ "$name" = mono ]; then
		mkdir "$at"
		for deb in "$fetched"/*mono*.deb; do dpkg -x "$deb" "$at"; done
		rm -rf "$fetched"
	else
		mv "$fetched" "$at"
	fi
	packed "$name" >"$at/complete"
done
rm -rf "$cache/peers/apt"

# --- npm -------------------------------------------------------------------------------------
missing_npm
if [ ${#npm[@]} -gt 0 ] && command -v npm >/dev/null; then
	rm -rf "$cache/npm"
	mkdir -p "$cache/npm"
	npm_wanted >"$cache/npm/package.json"
	if npm install --prefix "$cache/npm" --cache "$cache/npm/cache" --omit=optional --no-package-lock --ignore-scripts --no-audit --no-fund >>"$log" 2>&1; then
		npm_wanted >"$cache/npm/complete"
	else
		tail -5 "$log"
		say "npm could not fetch: ${npm[*]}"
	fi
fi

wrap
missing_tools
missing_unpacked
missing_packed
missing_npm
[ $((${#tools[@]} + ${#unpack[@]} + ${#pack[@]} + ${#npm[@]})) -eq 0 ] ||
	give_up "still missing: ${tools[*]} ${unpack[*]} ${pack[*]} ${npm[*]}: tests that need them are skipped by name"
say "all there"
