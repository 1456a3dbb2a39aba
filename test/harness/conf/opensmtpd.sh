#!/bin/sh
# Starts OpenSMTPD in the foreground.
set -e
{{if .TLS}}mkdir /etc/mailroot
install -m 0600 {{.Dir}}/*.pem /etc/mailroot
{{end}}mkdir -p -m 0711 /var/spool/smtpd
mkdir -p -m 0711 /var/empty /run/opensmtpd
chgrp opensmtpq /usr/sbin/smtpctl
chmod 2755 /usr/sbin/smtpctl
# What it has deferred is tried again each second, not after minutes.
while sleep 1; do /usr/sbin/smtpctl schedule all; done >/dev/null 2>{{.Dir}}/log/schedule &
exec /usr/sbin/smtpd -d -v -f /etc/smtpd.conf
