#!/bin/sh
# Makes Sendmail's configuration of its macros and starts it in the foreground.
set -e
cf=/usr/share/sendmail/cf
{{if .TLS}}# It takes no key that others may read, nor one below a folder where others may write.
install -m 0600 {{.Dir}}/*.pem /etc/mail
{{end}}mkdir -m 0700 /var/spool/mailroot
m4 -D_CF_DIR_=$cf/ $cf/m4/cf.m4 /etc/mail/mailroot.mc >/etc/mail/mailroot.cf
# No account is needed for a recipient.
sed -i '/^Mlocal/s/Aw5/A/' /etc/mail/mailroot.cf
# A line may be as long as RFC 5321 allows: by default it breaks what is longer than 990.
sed -i '/^Mesmtp/,/A=/s/L=990/L=1000/' /etc/mail/mailroot.cf
exec /usr/libexec/sendmail/sendmail -C /etc/mail/mailroot.cf -bD -q1s -X {{.Dir}}/log/wire
