package sim

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailroot/mailroot/internal/config"
	"github.com/mailroot/mailroot/internal/dns"
	"github.com/mailroot/mailroot/internal/service"
	"github.com/mailroot/mailroot/internal/vfs"
)

const (
	relay = "192.0.2.1:25"  // the relay under test
	smart = "192.0.2.50:25" // its smart host
)

// world is a relay with its network, its files and the names that it knows.
type world struct {
	t           *testing.T
	net         *network
	disk        *vfs.Mem
	fault       func(op vfs.Op, path string, n int) error // of the disk; nil: none
	after       func(op vfs.Op, path string)              // each operation of the disk; nil: nothing
	memory      func() (octets int64, collections uint64) // nil: the real one
	log         slog.Handler                              // nil: nobody reads it
	heard       func(error)                               // told why a client that submits was put off; nil: nobody is
	dns         *dns.Fake
	seed        uint64
	svc         *service.Service
	cable       *cable
	connections string // settings
	delivery    string
	blocks      string // further ones of the virtual server
	top         string // settings of the file itself
	direct      bool   // by MX, not by the smart host
}

// dataDir is where the relay has its folders, on the disk in memory.
const dataDir = "/sim"

// configuration of all stories; settings of a story are put into connections and delivery, blocks behind them.
const configuration = `
version = 1
data_directory = %q
%s
virtual_server "default" {
  fqdn = "relay.test"
  binding "192.0.2.1:25" {
  }
  connections {
    %s
  }
  delivery {
    %s
    %s
  }
  domain "corp.test" {
    kind = "default"
  }
  domain "alias.test" {
    kind = "alias"
  }
  access {
    relay {
      list = ["192.0.2.100"]
    }
  }
  %s
}
`

// newWorld starts a relay within the bubble of the test.
func newWorld(t *testing.T, delivery string) *world {
	t.Helper()
	return newWorldWith(t, "", delivery)
}

func newWorldWith(t *testing.T, connections, delivery string) *world {
	t.Helper()
	w := newWorldOff(t)
	w.connections = connections
	w.start(delivery)
	return w
}

// newWorldOff is a world whose relay has not started.
func newWorldOff(t *testing.T) *world {
	return &world{t: t, net: newNetwork(), disk: vfs.NewMem(), dns: dns.NewFake(nil)}
}

// newWorldOf starts a relay with further blocks in its configuration.
func newWorldOf(t *testing.T, blocks string) *world {
	t.Helper()
	w := newWorldOff(t)
	w.blocks = blocks
	w.start("")
	return w
}

func (w *world) start(delivery string) {
	w.t.Helper()
	w.delivery = delivery
	w.mustStart()
}

// mustStart starts the relay with the settings that it had.
func (w *world) mustStart() {
	w.t.Helper()
	if err := w.tryStart(); err != nil {
		w.t.Fatal(err)
	}
}

// parsed reads the configuration that the settings of w make.
func (w *world) parsed() (*config.Config, error) {
	route := `smart_host = ["[192.0.2.50]:25"]`
	if w.direct {
		route = ""
	}
	cfg, problems := config.Parse(fmt.Appendf(nil, configuration, dataDir, w.top, w.connections, route, w.delivery, w.blocks), dataDir+"/mailroot.hcl")
	return cfg, problems.Err()
}

// reload puts other settings of delivery into force.
func (w *world) reload(delivery string) {
	w.t.Helper()
	w.delivery = delivery
	cfg, err := w.parsed()
	if err == nil {
		_, _, err = w.svc.Apply(cfg)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) tryStart() error {
	cfg, err := w.parsed()
	if err != nil {
		return err
	}
	w.cable = &cable{n: w.net}
	svc, err := service.Open(w.t.Context(), cfg, service.Options{
		Log: slog.New(w.logHandler()), Dial: w.cable.Dial, Listen: w.cable.Listen,
		FS: vfs.Inject(w.disk, w.fault, w.after), Resolver: w.dns, JitterSeed: w.seed + 1, Memory: w.memory,
	})
	if err != nil {
		return err
	}
	if err := svc.Start(w.t.Context()); err != nil {
		return err
	}
	w.svc = svc
	return nil
}

func (w *world) logHandler() slog.Handler {
	if w.log == nil {
		return slog.DiscardHandler
	}
	return w.log
}

// powerCut ends the relay as a power cut does: nothing is said to anyone, and of what was not synced
// the disk keeps what rnd picks (nil: all of it, as after kill -9). It does not start it again.
func (w *world) powerCut(rnd *rand.Rand) {
	w.t.Helper()
	w.cable.pull()
	old := w.disk
	w.disk = old.CrashClone(rnd)
	// The run that is dead goes on in its own world, without a network and with a disk that
	// nobody will read, until its goroutines have ended.
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = w.svc.Stop(ctx)
}

// stop ends the relay; every story must, so that its bubble has no goroutine left.
func (w *world) stop() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := w.svc.Stop(ctx); err != nil {
		w.t.Error(err)
	}
}

// say is one line of a client and how the answer begins.
type say struct{ line, want string }

// talk has a dialog with the relay.
func (w *world) talk(lines ...say) {
	w.t.Helper()
	c, err := w.net.Dial(w.t.Context(), "tcp", relay)
	if err != nil {
		w.t.Fatal(err)
	}
	defer c.Close()
	r := bufio.NewReader(c)
	for _, l := range append([]say{{"", "220"}, {"EHLO client.test", "250"}}, lines...) {
		if err := expect(c, r, l.line, l.want); err != nil {
			w.t.Fatalf("to %.60q the relay said %v, want %s", l.line, err, l.want)
		}
	}
}

// ask submits a message by SMTP with these commands and fails the test unless it is accepted.
func (w *world) ask(mail string, rcpts []string, message string) {
	w.t.Helper()
	lines := []say{{mail, "250"}}
	for _, rcpt := range rcpts {
		lines = append(lines, say{rcpt, "250"})
	}
	w.talk(append(lines, say{"DATA", "354"}, say{message + ".", "250"}, say{"QUIT", "221"})...)
}

// send submits a message by SMTP and fails the test unless it is accepted.
func (w *world) send(from, to, subject string) {
	w.t.Helper()
	w.ask("MAIL FROM:<"+from+">", []string{"RCPT TO:<" + to + ">"},
		"From: <"+from+">\r\nTo: <"+to+">\r\nSubject: "+subject+"\r\n\r\nThe text of "+subject+".\r\n")
}

// files returns the contents of the files in a folder of the relay that end in ext.
func (w *world) files(folder, ext string) (out []string) {
	w.t.Helper()
	dir := dataDir + "/default/" + folder
	names, err := w.disk.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		w.t.Fatal(err)
	}
	for _, n := range names {
		if strings.HasSuffix(n, ext) {
			out = append(out, w.read(dir+"/"+n))
		}
	}
	return out
}

// read returns what a file holds.
func (w *world) read(name string) string {
	w.t.Helper()
	f, err := w.disk.Open(name)
	if err != nil {
		w.t.Fatal(err)
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		w.t.Fatal(err)
	}
	b := make([]byte, size)
	if _, err := f.ReadAt(b, 0); err != nil && err != io.EOF {
		w.t.Fatal(err)
	}
	return string(b)
}

// waiting is the number of recipients in the queue.
func (w *world) waiting() int { return w.svc.Servers()[0].Queue().Stats().Recipients }

// server is a mail server of somebody else. It keeps what it accepts and refuses recipients in a domain.
type server struct {
	l       net.Listener
	refuses string // domain
	dsn     bool   // it offers DSN
	// took, if set, is called with each message that was taken.
	took func(from string, to []string, message string)

	mu       sync.Mutex
	mail     []string
	from     []string // arguments of MAIL
	commands []string // MAIL and RCPT
	done     sync.WaitGroup
}

func (w *world) serve(address, refuses string) *server {
	w.t.Helper()
	l, err := w.net.Listen(w.t.Context(), "tcp", address)
	if err != nil {
		w.t.Fatal(err)
	}
	s := &server{l: l, refuses: refuses}
	s.done.Add(1)
	go func() {
		defer s.done.Done()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.done.Add(1)
			go func() { defer s.done.Done(); s.talk(c) }()
		}
	}()
	return s
}

func (s *server) close() { s.l.Close(); s.done.Wait() }

func (s *server) got() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.mail...)
}

// asked returns the MAIL and RCPT commands so far.
func (s *server) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.commands...)
}

func (s *server) talk(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	say := func(line string) { _, _ = io.WriteString(c, line+"\r\n") }
	say("220 smart.test ESMTP")
	var (
		rcpts int
		from  string
		to    []string
	)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		verb := strings.ToUpper(line[:min(4, len(line))])
		if verb == "MAIL" || verb == "RCPT" {
			s.mu.Lock()
			s.commands = append(s.commands, strings.TrimSpace(line))
			s.mu.Unlock()
		}
		switch verb {
		case "EHLO":
			dsn := ""
			if s.dsn {
				dsn = "250-DSN\r\n"
			}
			say("250-smart.test\r\n" + dsn + "250-PIPELINING\r\n250 8BITMIME")
		case "MAIL":
			rcpts, from, to = 0, path(line), nil
			s.mu.Lock()
			s.from = append(s.from, strings.TrimSpace(line[len("MAIL FROM:"):]))
			s.mu.Unlock()
			say("250 2.1.0 ok")
		case "RCPT":
			if s.refuses != "" && strings.Contains(line, "@"+s.refuses+">") {
				say("550 5.1.1 nobody of that name")
				break
			}
			rcpts++
			to = append(to, path(line))
			say("250 2.1.5 ok")
		case "DATA":
			if rcpts == 0 {
				say("554 5.5.1 no recipients")
				break
			}
			say("354 go on")
			var b strings.Builder
			for {
				line, err := r.ReadString('\n')
				if err != nil {
					return
				}
				if line == ".\r\n" {
					break
				}
				b.WriteString(strings.TrimPrefix(line, "."))
			}
			s.mu.Lock()
			s.mail = append(s.mail, b.String())
			s.mu.Unlock()
			if s.took != nil {
				s.took(from, to, b.String())
			}
			say("250 2.0.0 taken")
		case "QUIT":
			say("221 2.0.0 bye")
			return
		default:
			say("250 2.0.0 ok")
		}
	}
}

// pass lets simulated time go by and everything settle.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
