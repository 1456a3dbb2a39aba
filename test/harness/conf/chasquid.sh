#!/bin/sh
# Starts chasquid in the foreground, for users of dest.test.
set -e
etc=/etc/chasquid
mkdir -p /var/lib/chasquid $etc/certs/mx.dest.test $etc/domains/dest.test
cp {{.Dir}}/cert.pem $etc/certs/mx.dest.test/fullchain.pem
cp {{.Dir}}/key.pem $etc/certs/mx.dest.test/privkey.pem
for user in user b c jürgen; do
	chasquid-util user-add $user@dest.test --password=secret >/dev/null
done
exec chasquid -testing__outgoing_smtp_port={{.NextPort}}
