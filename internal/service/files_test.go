package service

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/mailroot/mailroot/internal/config"
)

func TestShareFiles(t *testing.T) {
	for _, c := range []struct {
		in, out, most int
		want          string // inbound, outbound, segments
		short         bool
	}{
		{1000, 500, 0, "1000 500 0", false},
		{1000, 500, 1 << 20, "1000 500 256", false},
		{1000, 500, 1844, "1000 500 230", false}, // 1500 + 24 + 230 + 64 = 1818
		{1000, 500, 1024, "539 269 128", true},
		{1000, 500, 64, "16 8 8", true},
		{1000, 500, 10, "1 1 4", true},
		{10, 5, 64, "10 5 8", false},
		{0, 500, 1 << 20, "1047732 500 256", false},
		{0, 500, 1024, "539 269 128", true},
		{1000, 0, 4096, "1000 2752 256", false},
		{0, 0, 4096, "2502 1250 256", false},
	} {
		cfg := parse(t, "")
		v := &cfg.VirtualServers[0]
		v.Connections.InboundLimit, v.Connections.OutboundLimit = c.in, c.out
		f := shareFiles(v, c.most)
		if got := fmt.Sprint(f.inbound, f.outbound, f.segments); got != c.want || f.shortened != c.short {
			t.Errorf("%d and %d of %d: %s, short %v; want %s", c.in, c.out, c.most, got, f.shortened, c.want)
		}
		if c.most > 10 && f.inbound+f.outbound+ownFiles+f.segments >= c.most {
			t.Errorf("%d and %d of %d: %+v leaves nothing", c.in, c.out, c.most, f)
		}
		w, warned := filesProblem(cfg, v, c.most)
		if warned != c.short || warned && (w.Severity != config.SeverityWarning || !strings.Contains(w.Message, fmt.Sprint(f.needed)) || !strings.Contains(w.Message, fmt.Sprint(c.most))) {
			t.Errorf("%d and %d of %d: warned %v, %+v", c.in, c.out, c.most, warned, w)
		}
	}
}

// TestFewFiles: clients beyond what open files allow are told 421, whatever the limit is, so that none waits without a
// word and the queue has files left; the limit in force is what the status has.
func TestFewFiles(t *testing.T) {
	for _, limit := range []string{"1000", `"unlimited"`} {
		synctest.Test(t, func(t *testing.T) {
			p, log := newPipes(), &logged{}
			o := options(p, log)
			o.OpenFiles = 64
			svc := startWith(t, "connections {\n inbound_limit = "+limit+"\n}", o)
			var open []net.Conn
			got := map[string]int{}
			for range 100 {
				c := p.dial()
				open = append(open, c)
				line := make([]byte, 512)
				n, err := c.Read(line)
				if err != nil {
					t.Fatal(err)
				}
				got[string(line[:min(n, 10)])]++
			}
			if len(got) != 2 || got["421 4.3.2 "] != 84 {
				t.Errorf("answers %v", got)
			}
			if in := svc.Servers()[0].Inbound(); in.Limit != 16 || in.Connections != 16 || in.Refused != 84 {
				t.Errorf("counted %+v", in)
			}
			for _, c := range open {
				c.Close()
			}
			stop(t, svc)
		})
	}
}
