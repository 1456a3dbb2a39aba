package metabase

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"runtime/metrics"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/mailroot/mailroot/internal/config"
)

// wide writes a text in UTF-16.
func wide(text string, order binary.AppendByteOrder, mark bool) []byte {
	var out []byte
	if mark {
		out = order.AppendUint16(out, 0xfeff)
	}
	for _, u := range utf16.Encode([]rune(text)) {
		out = order.AppendUint16(out, u)
	}
	return out
}

func sample(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// However a file is encoded, it says the same.
func TestEncodings(t *testing.T) {
	xml := strings.Replace(sample(t, "security.xml"), "Default SMTP", "Größe 𝄞 SMTP", 1)
	declared := strings.Replace(xml, `<?xml version ="1.0"?>`, `<?xml version="1.0" encoding="UTF-16"?>`, 1)
	enum := sample(t, "enum.txt")
	want := map[string][]byte{}
	for name, src := range map[string]string{"xml": xml, "enum": enum} {
		r, err := Import(strings.NewReader(src), Options{})
		if err != nil {
			t.Fatal(err)
		}
		want[name] = r.Config
	}
	if !bytes.Contains(want["xml"], []byte("Größe 𝄞 SMTP")) {
		t.Error("the letters are not in the file")
	}
	for name, src := range map[string][]byte{
		"xml, with a mark":                            append([]byte("\xef\xbb\xbf"), xml...),
		"xml, little-endian, with a mark":             wide(xml, binary.LittleEndian, true),
		"xml, big-endian, with a mark":                wide(declared, binary.BigEndian, true),
		"xml, little-endian, no mark":                 wide(declared, binary.LittleEndian, false),
		"xml, big-endian, no mark":                    wide(xml, binary.BigEndian, false),
		"xml, that says it is in UTF-8":               []byte(strings.Replace(xml, `"1.0"?>`, `"1.0" encoding="utf-8"?>`, 1)),
		"enum, little-endian, with a mark":            wide(enum, binary.LittleEndian, true),
		"enum, CRLF":                                  []byte(strings.ReplaceAll(enum, "\n", "\r\n")),
		"enum, big-endian, CRLF, as Windows saves it": wide(strings.ReplaceAll(enum, "\n", "\r\n"), binary.BigEndian, true),
	} {
		r, err := Import(iotest.OneByteReader(bytes.NewReader(src)), Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if kind, _, _ := strings.Cut(name, ","); !bytes.Equal(r.Config, want[kind]) {
			t.Errorf("%s:\n%s", name, config.LineDiff(want[kind], r.Config))
		}
	}
	if _, err := Import(strings.NewReader(declared), Options{}); err == nil || !strings.Contains(err.Error(), "says that it is in UTF-16") {
		t.Errorf("a lie about the encoding: got %v", err)
	}
}

// A file that is cut anywhere is an error that says where; none is taken for a whole one.
func TestTruncated(t *testing.T) {
	xml := sample(t, "relay-only.xml")
	whole := strings.Index(xml, "</configuration>") + len("</configuration>")
	for at := 1; at < whole; at += 7 {
		_, err := Import(strings.NewReader(xml[:at]), Options{})
		if err == nil {
			t.Fatalf("cut at %d of %d: taken", at, whole)
		}
		if at > 60 && !strings.Contains(err.Error(), "truncated") {
			t.Errorf("cut at %d: %v", at, err)
		}
	}
	odd := wide(xml, binary.LittleEndian, true)
	if _, err := Import(bytes.NewReader(odd[:1001]), Options{}); err == nil || !strings.Contains(err.Error(), "truncated") {
		t.Errorf("half a unit at the end: %v", err)
	}
	broken := errors.New("the disk is broken")
	if _, err := Import(io.MultiReader(strings.NewReader(xml[:500]), iotest.ErrReader(broken)), Options{}); !errors.Is(err, broken) {
		t.Errorf("an error of the disk: %v", err)
	}
}

// repeated gives a head, then a text again and again, then a tail; it is not held in memory.
func repeated(head, text string, times int, tail string) io.Reader {
	return io.MultiReader(strings.NewReader(head), &repeater{text: text, times: times}, strings.NewReader(tail))
}

type repeater struct {
	text      string
	at, times int
}

func (r *repeater) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if r.times == 0 {
			if n == 0 {
				return 0, io.EOF
			}
			break
		}
		m := copy(p[n:], r.text[r.at:])
		n += m
		if r.at += m; r.at == len(r.text) {
			r.at, r.times = 0, r.times-1
		}
	}
	return n, nil
}

const (
	xmlHead = "<?xml version=\"1.0\"?>\n<configuration><MBProperty>\n<IIsSmtpServer Location=\"/LM/SmtpSvc/1\"/>\n"
	xmlTail = "</MBProperty></configuration>\n"
)

// Files of 100 MB are read or refused within a bound of memory (P3).
func TestLarge(t *testing.T) {
	size := 100 << 20
	if testing.Short() {
		size = 24 << 20
	}
	times := func(text string) int { return size/len(text) + 1 }
	site := "<IIsWebVirtualDir Location=\"/LM/W3SVC/1/ROOT/some/folder\" AppRoot=\"/LM/W3SVC/1/ROOT/some/folder\" Path=\"c:\\inetpub\\wwwroot\\some\\folder\" AccessFlags=\"AccessRead | AccessScript\"></IIsWebVirtualDir>\n" +
		strings.Repeat(" ", 8<<10) + "\n"
	row := "<IIsSmtpServer Location=\"/LM/SmtpSvc/1\" ServerComment=\"" + strings.Repeat("x", 1000) + "\"/>\n"
	for _, c := range []struct {
		name string
		in   io.Reader
		want string // of the error; "" for none
	}{
		{"keys of the web", repeated(xmlHead, site, times(site), xmlTail), ""},
		{"one value", repeated(xmlHead+"<IIsSmtpServer Location=\"/LM/SmtpSvc/2\" ServerComment=\"", "xxxxxxxx", times("xxxxxxxx"), "\"/>"+xmlTail), "longer than 1024 KB"},
		{"one comment", repeated(xmlHead+"<!-- ", "xxxxxxxx", times("xxxxxxxx"), " -->"+xmlTail), "longer than 1024 KB"},
		{"one name", repeated(xmlHead+"<", "xxxxxxxx", times("xxxxxxxx"), "/>"+xmlTail), "longer than 1024 KB"},
		{"one text", repeated(xmlHead, "xxxxxxxx", times("xxxxxxxx"), xmlTail), "longer than 1024 KB"},
		{"attributes without end", repeated(xmlHead+"<IIsSmtpServer Location=\"/LM/SmtpSvc/2\"", " a=\"\"", times(" a=\"\""), "/>"+xmlTail), "longer than 1024 KB"},
		{"depth", repeated(xmlHead, "<a>", times("<a>"), ""), "nested more than 16 deep"},
		{"values that are kept", repeated(xmlHead, row, times(row), xmlTail), "together longer than 16 MB"},
		{"custom rows", repeated(xmlHead+"<IIsSmtpServer Location=\"/LM/SmtpSvc/2\">", "<Custom ID=\"1\" Value=\"2\"/>", 1<<20, "</IIsSmtpServer>"+xmlTail), "more than 400000 properties"},
		{"one line", repeated("[/SmtpSvc/1]\nServerComment : (STRING) ", "xxxxxxxx", times("xxxxxxxx"), "\n"), "a line is longer"},
		{"lines that are nothing", repeated("[/SmtpSvc/1]\nHopCount : (INTEGER) 15\n", "nothing\n", times("nothing\n"), ""), ""},
		{"a list without end", repeated("[/SmtpSvc/1]\nServerBindings : (LIST) (999999999 Items)\n", "  \":25:\"\n", times("  \":25:\"\n"), ""), ""},
		{"more than is read", repeated(xmlHead, strings.Repeat(" ", 1023)+"<a/>", 260<<10, xmlTail), "the file is longer than 256 MB"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if testing.Short() && strings.Contains(c.want, "256 MB") {
				t.Skip("256 MB take their time: left out with -short (make quick, the race suite); the unit suite of make test reads them")
			}
			peak := peakOf(func() {
				_, err := Import(c.in, Options{})
				switch {
				case c.want == "" && err != nil:
					t.Error(err)
				case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
					t.Errorf("got %v, want %q", err, c.want)
				}
			})
			if limit := uint64(64 << 20); peak > limit {
				t.Errorf("it took %d MB of memory", peak>>20)
			}
		})
	}
}

// peakOf returns how much the objects of the heap grew at most while do ran, looked at each millisecond.
func peakOf(do func()) uint64 {
	heap := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	look := func() uint64 {
		metrics.Read(heap)
		return heap[0].Value.Uint64()
	}
	runtime.GC()
	start, peak := look(), uint64(0)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			peak = max(peak, look())
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	do()
	close(stop)
	<-done
	return max(peak, start) - start
}

// More keys than are kept.
func TestManyKeys(t *testing.T) {
	var b strings.Builder
	b.WriteString(xmlHead)
	for i := range maxKeys {
		fmt.Fprintf(&b, "<IIsSmtpDomain Location=\"/LM/SmtpSvc/1/Domain/d%d.example\" RouteAction=\"16\"/>\n", i)
	}
	text := b.String()
	_, err := Import(strings.NewReader(text+xmlTail), Options{})
	if err == nil || !strings.Contains(err.Error(), "more than 50000 keys") {
		t.Errorf("got %v", err)
	}
	_, err = Import(strings.NewReader(text[:len(text)/2]+xmlTail), Options{})
	if err == nil {
		t.Error("a file that is cut and mended was taken")
	}
	few := text[:strings.Index(text, "d6000.example")]
	few = few[:strings.LastIndex(few, "<")]
	few = strings.ReplaceAll(few, `"16"`, `"4098" RouteActionString="[192.0.2.7]"`)
	r, err := Import(strings.NewReader(few+xmlTail), Options{})
	if err != nil || bytes.Count(r.Config, []byte("domain \"")) != 6000 {
		t.Fatalf("6,000 domains with routes: %v", err)
	}
	if told := len(r.Report.Taken); told < 12_000 || r.Report.Left != 0 {
		t.Errorf("6,000 domains: the report tells %d lines, and leaves out %d", told, r.Report.Left)
	}
	d := newDocument()
	d.head = []string{strings.Repeat("a ", config.MaxFileSize/2)}
	if _, _, _, err := d.settle(); err == nil || !strings.Contains(err.Error(), "a configuration file has 16 at most; import a copy of the old file without") {
		t.Errorf("a configuration that is too large: got %v", err)
	}
}

func TestManyServers(t *testing.T) {
	src := func(n int) io.Reader {
		var b strings.Builder
		b.WriteString(xmlHead)
		for i := range n - 1 {
			fmt.Fprintf(&b, "<IIsSmtpServer Location=\"/LM/SmtpSvc/%d\" ServerBindings=\":%d:\"/>\n", i+2, i+1000)
		}
		return strings.NewReader(b.String() + xmlTail)
	}
	if _, err := Import(src(maxServers+1), Options{}); err == nil || !strings.Contains(err.Error(), "200 are the most") {
		t.Errorf("got %v", err)
	}
	if r, err := Import(src(maxServers), Options{}); err != nil || len(r.Report.Servers) != maxServers || r.Report.Left != 0 {
		t.Errorf("%d servers: %v, %d lines left out", maxServers, err, r.Report.Left)
	}
}

// Whatever is read, there is an error or a file that is in order, and neither hangs nor panics.
func FuzzImport(f *testing.F) {
	for _, name := range []string{"security.xml", "domains.xml", "cycles.xml", "duplicates.xml", "limits.xml", "logs.xml", "bomb.xml", "enum.txt", "retry-old.txt"} {
		f.Add([]byte(sample(f, name)), true)
	}
	f.Add(wide(sample(f, "minimal.xml"), binary.LittleEndian, true), false)
	f.Add([]byte(xmlHead+"<IIsSmtpServer Location=\"/LM/SmtpSvc/1\" ServerBindings=\"0.0.0.0:25:&#xA;:25:&#xA;[::]:25:&#xA;::1:25:\" DropDirectory=\"c:\\a\" PickupDirectory=\"C:\\A\\b\"/>"+xmlTail), true)
	f.Add([]byte("[/SmtpSvc/1]\nServerComment : (STRING) \"\x1b[2J\u202e\"\n[/SmtpSvc/1/Domain/\x1b[31m.example]\nRouteAction : (INTEGER) 520\n\x9b : (INTEGER) 1\n"), true)
	f.Fuzz(func(t *testing.T, src []byte, windows bool) {
		r, err := Import(bytes.NewReader(src), Options{Windows: windows})
		if err != nil {
			if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' && r != '\n' }) {
				t.Fatalf("an error with control characters: %q", err)
			}
			if strings.Contains(err.Error(), "made of it") {
				t.Fatalf("the file could not be settled: %v", err)
			}
			return
		}
		if cfg, problems := config.Parse(r.Config, ""); cfg == nil {
			t.Fatalf("the file is in error:\n%s\n%s", problems, r.Config)
		}
		if tree, err := read(bytes.NewReader(src), false); err == nil && r.Report.Left == 0 {
			for _, text := range incomplete(tree, r.Report) {
				t.Error(text)
			}
		}
		var report bytes.Buffer
		if err := r.Report.Write(&report); err != nil {
			t.Fatal(err)
		}
		comments := regexp.MustCompile(`(?m)^ *#.*$`).FindAll(r.Config, -1)
		for _, text := range append(comments, report.Bytes()) {
			if bad := bytes.IndexFunc(text, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); bad >= 0 {
				t.Fatalf("%q is not for people", text[max(0, bad-40):min(len(text), bad+40)])
			}
		}
	})
}
