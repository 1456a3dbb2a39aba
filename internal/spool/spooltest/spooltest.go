// Package spooltest holds the tests that every spool.Store must pass. A store's own tests call Run;
// what is special about a store (its files, its crashes) is tested there.
//
// It knows no store. Start with Run.
package spooltest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/spool"
)

// Open opens a spool that is kept between two calls: after Close it finds what was there.
type Open func(t testing.TB) spool.Store

// Run runs the suite. fresh makes an empty spool and returns how to open it.
func Run(t *testing.T, fresh func(t testing.TB) Open) {
	tests := []struct {
		name string
		f    func(*testing.T, *fixture)
	}{
		{"Messages", testMessages},
		{"Envelope", testEnvelope},
		{"Abort", testAbort},
		{"EndedTransaction", testEndedTransaction},
		{"IDs", testIDs},
		{"NotFound", testNotFound},
		{"Load", testLoad},
		{"LoadWhileMailComesIn", testLoadWhileMailComesIn},
		{"Report", testReport},
		{"Noticed", testNoticed},
		{"ReportOfTheUnknown", testReportUnknown},
		{"ManyRecipients", testManyRecipients},
		{"Original", testOriginal},
		{"OpenBody", testOpenBody},
		{"Search", testSearch},
		{"SearchTexts", testSearchTexts},
		{"SearchPages", testSearchPages},
		{"ChangeActions", testChangeActions},
		{"ChangeSelection", testChangeSelection},
		{"ChangeRoute", testChangeRoute},
		{"Concurrent", testConcurrent},
		{"Closed", testClosed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := &fixture{T: t, open: fresh(t)}
			f.Store = f.open(t)
			defer func() {
				if err := f.Close(); err != nil {
					t.Error("close:", err)
				}
			}()
			tt.f(t, f)
		})
	}
}

// fixture is a store with what tests do again and again.
type fixture struct {
	*testing.T
	spool.Store
	open Open
}

// reopen closes the store and opens it again.
func (f *fixture) reopen() {
	f.Helper()
	if err := f.Store.Close(); err != nil {
		f.Fatal("close:", err)
	}
	f.Store = f.open(f)
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// Message returns size octets that seed decides, lines with CRLF among them.
func Message(seed uint64, size int) []byte {
	rnd := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(32 + rnd.IntN(95))
		if i%72 == 71 {
			b[i-1], b[i] = '\r', '\n'
		}
	}
	return b
}

// Envelope returns an envelope with that sender and those recipients, as local@domain.
func Envelope(sender string, rcpts ...string) *mail.Envelope {
	env := &mail.Envelope{Sender: mail.Sender{Addr: address(sender)}, Arrived: time.Now().Truncate(time.Millisecond).UTC()}
	for _, r := range rcpts {
		env.Recipients = append(env.Recipients, mail.Recipient{Addr: address(r)})
	}
	return env
}

func address(s string) mail.Address {
	var a mail.Address
	if i := bytes.LastIndexByte([]byte(s), '@'); i >= 0 {
		a.Local, a.Domain = s[:i], s[i+1:]
	}
	return a
}

// FullEnvelope returns an envelope in which every field is set.
func FullEnvelope() *mail.Envelope {
	env := &mail.Envelope{
		Sender: mail.Sender{Addr: mail.Address{Local: `"a b"`, Domain: "example.com"}, Size: 123, Body: mail.BodyBinaryMIME, UTF8: true,
			RequireTLS: true, Ret: mail.RetHeaders, EnvID: "QQ+2B1"},
		Recipients: []mail.Recipient{
			{Addr: mail.Address{Local: "r", Domain: "[192.0.2.1]"}, Notify: mail.NotifyNever, ORcpt: "rfc822;r+2B@example.org"},
			{Addr: mail.Address{Local: "ü", Domain: "bücher.test"}, Notify: mail.NotifySuccess | mail.NotifyDelay},
		},
		Arrived: time.Date(2026, 3, 4, 5, 6, 7, 89, time.UTC), Source: mail.SourceReport,
		Peer: netip.MustParseAddr("fe80::1%eth0"), PeerName: "client.example.com", Helo: "client", Account: "account", Protocol: "ESMTPSA",
		DefaultDomain: "example.net", Original: 77,
		Content: mail.Content{Size: 1 << 40, HeaderLen: 500, DotLines: 3, EightBit: true, UTF8: true, Bare: true, Hops: 4, MessageID: "<1@x>", OwnID: true,
			Subject: "s", Edits: []mail.Edit{{Offset: 1, Length: 2, Kind: mail.EditFromAddress}, {Offset: 1 << 31, Kind: mail.EditBareDomain}}},
	}
	return env
}

// put commits a message and returns its id.
func (f *fixture) put(body []byte, env *mail.Envelope) mail.QueueID {
	f.Helper()
	tx, err := f.Begin(f.Context())
	f.must(err)
	for rest := body; len(rest) > 0; {
		n := min(len(rest), 5000)
		k, err := tx.Write(rest[:n])
		if k != n || err != nil {
			f.Fatalf("write: %d of %d, %v", k, n, err)
		}
		rest = rest[n:]
	}
	f.must(tx.Commit(f.Context(), env))
	if env.ID != tx.ID() || env.ID == 0 {
		f.Fatalf("the envelope has id %v, the transaction %v", env.ID, tx.ID())
	}
	return env.ID
}

// body reads a message.
func (f *fixture) body(id mail.QueueID) []byte {
	f.Helper()
	b, err := f.Body(f.Context(), id)
	f.must(err)
	defer func() { f.must(b.Close()) }()
	p, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
	f.must(err)
	return p
}

// gone checks that a message is not there.
func (f *fixture) gone(id mail.QueueID) {
	f.Helper()
	if _, err := f.Envelope(f.Context(), id); !errors.Is(err, spool.ErrNotFound) {
		f.Errorf("Envelope of %v: %v, want ErrNotFound", id, err)
	}
	if _, err := f.Body(f.Context(), id); !errors.Is(err, spool.ErrNotFound) {
		f.Errorf("Body of %v: %v, want ErrNotFound", id, err)
	}
	if _, err := f.Status(f.Context(), id); !errors.Is(err, spool.ErrNotFound) {
		f.Errorf("Status of %v: %v, want ErrNotFound", id, err)
	}
}

// load reads all pages.
func (f *fixture) load(n int) []mail.Pending {
	f.Helper()
	var out []mail.Pending
	for cursor := spool.Cursor(0); ; {
		page, next, err := f.Load(f.Context(), f.Shards()[0].ID, cursor, n)
		f.must(err)
		out = append(out, page...)
		if next == 0 {
			return out
		}
		if next <= cursor {
			f.Fatalf("cursor %v after %v", next, cursor)
		}
		cursor = next
	}
}

func (f *fixture) report(changes ...mail.Change) {
	f.Helper()
	f.must(f.Report(f.Context(), changes))
}

func (f *fixture) status(id mail.QueueID) []spool.RecipientStatus {
	f.Helper()
	s, err := f.Status(f.Context(), id)
	f.must(err)
	return s
}

func (f *fixture) equal(what string, got, want any) {
	f.Helper()
	if !reflect.DeepEqual(got, want) {
		f.Errorf("%s:\n got %s\nwant %s", what, show(got), show(want))
	}
}

func show(v any) string {
	if b, ok := v.([]byte); ok && len(b) > 200 {
		return fmt.Sprintf("%d octets, %q…", len(b), b[:100])
	}
	return fmt.Sprintf("%+v", v)
}

var background = context.Background()
