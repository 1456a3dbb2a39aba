#!/bin/sh
# mailroot.sh start|flush DIR LISTEN SINK
#
# Mailroot as a part of a load test: in the foreground until SIGTERM, listens on 127.0.0.1:LISTEN,
# relays all mail from 127.0.0.1 to 127.0.0.1:SINK, keeps everything below DIR.
# MAILROOT_BIN is the binary, by default bin/mailroot of this source tree. BENCH_TLS=1 offers
# STARTTLS with the certificate in the folder that $BENCH/cert.sh prints; BENCH_PROCLIMIT is the
# number of sessions to allow. "flush" makes the running one try all deferred mail at once.
set -eu
act=$1 d=$2 listen=${3:-} sink=${4:-}
bin=${MAILROOT_BIN:-$(cd "$(dirname "$0")/../.." && pwd)/bin/mailroot}
conf=$d/mailroot.hcl
if [ "$act" = flush ]; then
	"$bin" queue retry --all --config "$conf" || code=$?
	[ "${code:-0}" = 6 ] || exit "${code:-0}" # 6: nothing is queued
	exit 0
fi
if [ ! -f "$conf" ]; then
	access='relay {
      mode = "only"
      list = ["127.0.0.1"]
    }'
	if [ "${BENCH_TLS:-}" = 1 ]; then
		cert=$("$BENCH/cert.sh")
		access="certificate = \"$cert/cert.pem\"
    private_key = \"$cert/key.pem\"
    $access"
	fi
	cat >"$conf" <<C
version = 1
data_directory = "$d"
control {
  socket = "$d/control"
}
virtual_server "default" {
  fqdn = "mx.bench.test"
  binding "127.0.0.1:$listen" {
    tls = "starttls"
  }
  connections {
    inbound_limit = ${BENCH_PROCLIMIT:-5000}
  }
  messages {
    max_size           = "50MB"
    max_session_size   = "50MB"
    max_per_connection = "unlimited"
  }
  delivery {
    smart_host = ["[127.0.0.1]:$sink"]
    remote {
      max_retries     = 48
      retry_intervals = ["30s", "60s"]
    }
  }
  domain "mx.bench.test" {
    kind = "default"
  }
  access {
    $access
  }
}
C
fi
exec "$bin" run --config "$conf"
