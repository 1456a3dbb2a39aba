//go:build linux

// Package moving has old servers' settings imported and runs what comes of them: it must check, start, and do what the
// old server did. The settings are MetaBase.xml files, written here for the addresses and ports of the test, and
// those of the importer's own samples. Clients come from addresses of 127.0.0.0/8, all of which Linux has. Start
// with world.
package moving

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/mailroot/mailroot/internal/dns/dnstest"
	"github.com/mailroot/mailroot/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// attrs are properties of one key, as MetaBase.xml writes them.
type attrs map[string]string

// old is a server of the original.
type old struct {
	server  attrs
	domains map[string]attrs
}

// xml writes the file as set-up and the dialogs left it.
func (o *old) xml(port int) string {
	server := attrs{
		"ServerBindings": fmt.Sprintf("127.0.0.1:%d:", port), "ServerComment": "Default SMTP Virtual Server",
		"DefaultDomain": "corp.test", "FullyQualifiedDomainName": "relay.corp.test", "AuthFlags": "AuthAnonymous",
		"PickupDirectory": `C:\Inetpub\mailroot\Pickup`, "QueueDirectory": `C:\Inetpub\mailroot\Queue`,
		"DropDirectory": `C:\Inetpub\mailroot\Drop`, "BadMailDirectory": `C:\Inetpub\mailroot\Badmail`, "LogType": "1",
		"LogPluginClsid": "{FF160663-DE82-11CF-BC0A-00AA006111E0}", "HopCount": "15", "RelayForAuth": "4294967295",
	}
	maps.Copy(server, o.server)
	var b strings.Builder
	b.WriteString("<?xml version =\"1.0\"?>\n<configuration xmlns=\"urn:microsoft-catalog:XML_Metabase_V64_0\">\n<MBProperty>\n")
	key := func(class, location string, a attrs) {
		fmt.Fprintf(&b, "<%s\tLocation =%q\n", class, location)
		for _, name := range slices.Sorted(maps.Keys(a)) {
			fmt.Fprintf(&b, "\t\t%s=\"%s\"\n", name, a[name])
		}
		fmt.Fprintf(&b, "\t></%s>\n", class)
	}
	key("IIsSmtpService", "/LM/SmtpSvc", attrs{"MaxMessageSize": "2097152", "MaxSessionSize": "10485760", "MaxBatchedMessages": "20", "MaxRecipients": "100"})
	key("IIsSmtpServer", "/LM/SmtpSvc/1", server)
	key("IIsConfigObject", "/LM/SmtpSvc/1/Domain", nil)
	for _, name := range slices.Sorted(maps.Keys(o.domains)) {
		key("IIsSmtpDomain", "/LM/SmtpSvc/1/Domain/"+name, o.domains[name])
	}
	b.WriteString("</MBProperty>\n</configuration>\n")
	return b.String()
}

// The bits of RouteAction.
const (
	toSmartHost = 0x2
	alias       = 0x10
	relayDomain = 0x1000
)

func routeAction(bits int) string { return strconv.Itoa(bits) }

// ipList writes a RelayIpList or IPSecurity: addresses with a mask each, one group for each mask; either those that are granted
// or those that are denied. A name goes into the list of names.
func ipList(deny bool, entries ...string) string {
	groups := map[string][]string{} // addresses by mask
	var names []string
	for _, e := range entries {
		addr, mask, ok := strings.Cut(e, "/")
		switch _, err := netip.ParseAddr(addr); {
		case err != nil:
			names = append(names, e)
			continue
		case !ok:
			mask = "255.255.255.255"
		}
		groups[mask] = append(groups[mask], addr)
	}
	masks := slices.Sorted(maps.Keys(groups))
	const top, head, empty, group = 1 << 31, 24, 8, 20
	some := empty + group*len(masks)
	sizes := [4]int{empty, some, empty, empty} // deny, grant, names that are denied, granted
	if deny {
		sizes[0], sizes[1] = some, empty
	}
	var at [5]int
	at[0] = head
	for i, n := range sizes {
		at[i+1] = at[i] + n
	}
	var b []byte
	word := func(v int) { b = binary.LittleEndian.AppendUint32(b, uint32(v)) }
	for i := range 4 {
		word(top | at[i])
	}
	word(1)
	word(at[4])
	var data []byte
	section := func() {
		word(len(masks))
		n := 0
		for _, m := range masks {
			n += len(groups[m])
		}
		word(n)
		for _, m := range masks {
			word(2)
			word(len(groups[m]) + 1)
			word(4)
			word(0)
			word(top | (at[4] + len(data)))
			for _, a := range append([]string{m}, groups[m]...) {
				ip := netip.MustParseAddr(a).As4()
				data = append(data, ip[:]...)
			}
		}
	}
	nameCount := [2]int{0, len(names)}
	if deny {
		section()
		word(0)
		word(0)
		nameCount = [2]int{len(names), 0}
	} else {
		word(0)
		word(0)
		section()
	}
	for _, n := range nameCount {
		word(n)
		word(n)
	}
	b = append(b, data...)
	for _, n := range names {
		b = append(append(b, n...), 0)
	}
	return hex.EncodeToString(b)
}

// world is an imported server that runs, and what is around it.
type world struct {
	*harness.Server
	t      *testing.T
	Report string // what import has told
	queue  string // the Queue folder of the old server
}

// move imports an old server's file and starts what comes of it. The settings are what the test itself needs.
func move(t *testing.T, metabase string, port int, settings ...string) *world {
	t.Helper()
	dir := harness.Dir(t)
	xml, file := filepath.Join(dir, "MetaBase.xml"), filepath.Join(dir, "mailroot.hcl")
	if err := os.WriteFile(xml, []byte(metabase), 0o600); err != nil {
		t.Fatal(err)
	}
	s := harness.With(t, dir, file, harness.Binding{Port: port})
	report := harness.MustRun(t, nil, "", harness.Binary(t), "import", xml, "--out", file, "--data", dir)
	s.CLI("config", "check")
	if len(settings) > 0 {
		s.CLI(append([]string{"config", "set"}, settings...)...)
	}
	s.Start()
	return &world{Server: s, t: t, Report: report}
}

// start is move for an old server, with a DNS of the test.
func (o *old) start(t *testing.T, zone string) *world {
	t.Helper()
	port := harness.FreePort(t)
	dns := dnstest.Start(t, zone)
	return move(t, o.xml(port), port, "dns.servers=["+strconv.Quote(dns.Addr())+"]", "protocol.allow_loopback_mx=true")
}

// from connects from an address and greets.
func (w *world) from(ip string) *harness.Client {
	w.t.Helper()
	c, err := harness.ConnectFrom(ip, w.Addr())
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(c.Close)
	if _, err := c.Expect("banner", 220); err != nil {
		w.t.Fatalf("%s: %v", ip, err)
	}
	if err := c.Hello("client.test"); err != nil {
		w.t.Fatal(err)
	}
	return c
}

// rcpt is a recipient that a client asks for, and the reply.
type rcpt struct{ client, to, want string }

// ask asks for each recipient from the client's address.
func (w *world) ask(all ...rcpt) {
	w.t.Helper()
	for _, r := range all {
		c := w.from(r.client)
		if _, err := c.Cmd(250, "MAIL FROM:<app@corp.test>"); err != nil {
			w.t.Fatal(err)
		}
		if err := c.Write([]byte("RCPT TO:<" + r.to + ">\r\n")); err != nil {
			w.t.Fatal(err)
		}
		if _, text, err := c.Reply(); err != nil || !strings.HasPrefix(text, r.want) {
			w.t.Errorf("%s asks for %s: %q, %v; want %q", r.client, r.to, text, err, r.want)
		}
		c.Close()
	}
}

// send sends a message from 127.0.0.1.
func (w *world) send(to ...string) {
	w.t.Helper()
	w.Send("app@corp.test", to, harness.Message("app@corp.test", to[0], "to "+to[0], "text"))
}

// sinks are next hops on addresses of their own and one port.
func sinks(t *testing.T, ips ...string) (port int, out map[string]*harness.Sink) {
	t.Helper()
	port = harness.FreePort(t)
	out = make(map[string]*harness.Sink)
	for _, ip := range ips {
		out[ip] = harness.NewSink(t, harness.SinkOptions{Addr: fmt.Sprintf("%s:%d", ip, port)})
	}
	return port, out
}

// got waits until a sink has just the messages to these recipients.
func got(t *testing.T, s *harness.Sink, want ...string) {
	t.Helper()
	var all []string
	for _, m := range s.Wait(len(want)) {
		all = append(all, strings.Join(m.Rcpts, " "))
	}
	slices.Sort(all)
	slices.Sort(want)
	if !slices.Equal(all, want) {
		t.Errorf("%s has %q, want %q", s.Addr(), all, want)
	}
}
