package smtpclient

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/mailroot/mailroot/internal/mail"
)

func TestRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		o := &Options{ID: 7, Record: func(x *mail.Exchange) {
			if x.Conn != 7 || x.Time.IsZero() {
				t.Errorf("number %d, time %v", x.Conn, x.Time)
			}
			dir := map[mail.Direction]string{mail.OutboundCommand: ">", mail.OutboundResponse: "<"}[x.Dir]
			got = append(got, fmt.Sprintf("%s %s|%s|%d|%s|%d|%d|%v", dir, x.Verb, x.Arg, x.Code, x.Enhanced, x.In, x.Out, x.Took))
		}}
		c, _ := dialogue(t, o, `
WAIT 47ms
S: 220 mx.example.org ESMTP
C: EHLO relay.example.com
WAIT 10ms
S: 250-mx.example.org
S: 250 PIPELINING
C: MAIL FROM:<a@example.com>
C: RCPT TO:<r0@example.org>
C: DATA
WAIT 10ms
S: 250 2.1.0 Ok
S: 250 2.1.5 Ok
S: 354 go
C: x
C: .
WAIT 1s
S: 250 2.6.0 queued
C: QUIT
S: 221 2.0.0 bye`)
		ready(t, c)
		var out Outcome
		c.Send(message(1, "x\r\n"), &out)
		c.Quit()
		want := []string{
			"< |220 mx.example.org ESMTP|220||24|0|47ms",
			"> EHLO|relay.example.com|0||0|4|47ms",
			"< |250-mx.example.org|250||18|0|57ms",
			"> MAIL|FROM:<a@example.com>|0||0|4|57ms",
			"> RCPT|TO:<r0@example.org>|0||0|4|57ms",
			"> DATA||0||0|4|57ms",
			"< |250 2.1.0 Ok|250|2.1.0|12|0|67ms",
			"< |250 2.1.5 Ok|250|2.1.5|12|0|67ms",
			"< |354 go|354||6|0|67ms",
			"< |250 2.6.0 queued|250|2.6.0|16|0|1.067s",
			"> QUIT||0||0|4|1.067s",
			"< |221 2.0.0 bye|221|2.0.0|13|0|1.067s",
		}
		if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
			t.Errorf("got\n%s\nwant\n%s", g, w)
		}
	})
}
