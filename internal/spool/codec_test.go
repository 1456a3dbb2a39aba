package spool_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/spool"
	"github.com/mailroot/mailroot/internal/spool/spooltest"
)

var update = flag.Bool("update", false, "write the golden file of the newest version, if there is none")

func TestEnvelopeRoundTrip(t *testing.T) {
	full := spooltest.FullEnvelope()
	full.ID = 1<<63 + 5
	many := spooltest.Envelope("", strings.Fields(strings.Repeat("a@b.test ", 3000))...)
	odd := spooltest.Envelope("a@b.test", "c@d.test")
	odd.Sender.Size, odd.Content.Hops, odd.Content.Size = -1, -2, -3
	for _, env := range []*mail.Envelope{{}, full, many, odd, spooltest.Envelope("x@y.test", "z@z.test")} {
		b := spool.AppendEnvelope([]byte("before"), env)[6:]
		if len(b) > spool.EnvelopeBound(env) {
			t.Errorf("%d octets, more than the bound %d", len(b), spool.EnvelopeBound(env))
		}
		got, err := spool.DecodeEnvelope(b)
		if err != nil {
			t.Error(err)
			continue
		}
		if !reflect.DeepEqual(got, env) {
			t.Errorf("got %+v, want %+v", got, env)
		}
		for i := range b {
			if len(b) > 1000 && i%97 != 0 {
				continue
			}
			if _, err := spool.DecodeEnvelope(b[:i]); err == nil {
				t.Errorf("the first %d of %d octets were taken for an envelope", i, len(b))
			}
		}
		if _, err := spool.DecodeEnvelope(append(b, 0)); !errors.Is(err, spool.ErrEnvelope) {
			t.Errorf("an octet more: %v", err)
		}
	}
}

// TestEnvelopeVersions reads an envelope of each version that was ever written. The file of the
// newest is made with -update and never changed again.
func TestEnvelopeVersions(t *testing.T) {
	env := spooltest.FullEnvelope()
	env.ID = 0x0123456789abcdef
	newest := filepath.Join("testdata", "envelope-v1.hex")
	if _, err := os.Stat(newest); os.IsNotExist(err) && *update {
		if err := os.WriteFile(newest, []byte(hex.EncodeToString(spool.AppendEnvelope(nil, env))+"\n"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob(filepath.Join("testdata", "envelope-v*.hex"))
	if err != nil || len(files) != spool.EnvelopeVersion {
		t.Fatalf("%d golden files for %d versions, %v", len(files), spool.EnvelopeVersion, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		b, err := hex.DecodeString(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		got, err := spool.DecodeEnvelope(b)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if !reflect.DeepEqual(got, env) {
			t.Errorf("%s: got %+v, want %+v", file, got, env)
		}
	}
}

func TestP2EnvelopeVersion(t *testing.T) {
	b := spool.AppendEnvelope(nil, spooltest.FullEnvelope())
	for _, v := range []byte{0, spool.EnvelopeVersion + 1, 255} {
		b[0] = v
		if _, err := spool.DecodeEnvelope(b); !errors.Is(err, spool.ErrVersion) {
			t.Errorf("version %d: %v", v, err)
		}
	}
	if _, err := spool.DecodeEnvelope(nil); !errors.Is(err, spool.ErrEnvelope) {
		t.Errorf("nothing: %v", err)
	}
}

// TestEnvelopeBounds checks that lengths and counts that lie cost nothing.
func TestEnvelopeBounds(t *testing.T) {
	b := spool.AppendEnvelope(nil, &mail.Envelope{})
	huge := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}
	for i := range b {
		lie := bytes.Join([][]byte{b[:i], huge, b[i:]}, nil)
		if n := testing.AllocsPerRun(1, func() {
			if env, err := spool.DecodeEnvelope(lie); err == nil && len(env.Recipients)+len(env.Content.Edits) > len(lie) {
				t.Errorf("%d octets made %d recipients", len(lie), len(env.Recipients))
			}
		}); n > 20 {
			t.Errorf("%v allocations", n)
		}
	}
}

func FuzzDecodeEnvelope(f *testing.F) {
	f.Add(spool.AppendEnvelope(nil, spooltest.FullEnvelope()))
	f.Add(spool.AppendEnvelope(nil, &mail.Envelope{}))
	f.Add(spool.AppendEnvelope(nil, spooltest.Envelope("a@b.test", "c@d.test", "e@f.test")))
	f.Fuzz(func(t *testing.T, b []byte) {
		env, err := spool.DecodeEnvelope(b)
		if err != nil {
			return
		}
		again := spool.AppendEnvelope(nil, env)
		if len(again) > spool.EnvelopeBound(env) {
			t.Fatalf("%d octets, more than the bound %d", len(again), spool.EnvelopeBound(env))
		}
		env2, err := spool.DecodeEnvelope(again)
		if err != nil {
			t.Fatalf("what was decoded cannot be decoded again: %v", err)
		}
		if !reflect.DeepEqual(env, env2) {
			t.Fatalf("%+v became %+v", env, env2)
		}
	})
}

func TestMatch(t *testing.T) {
	for _, tt := range []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true}, {"", "a", false}, {"*", "", true}, {"*", "abc", true}, {"a", "A", true}, {"a", "ab", false},
		{"a*", "abc", true}, {"a*", "ba", false}, {"*c", "abc", true}, {"*c", "cb", false}, {"a*c", "ac", true}, {"a*c", "a", false},
		{"ab*ba", "aba", false}, {"ab*ba", "abba", true}, {"*b*", "abc", true}, {"*b*", "ac", false}, {"a**b", "ab", true},
		{"*x*y*z", "1x2y3z", true}, {"*x*y*z", "1y2x3z", false}, {"*.example.com", "Mail.EXAMPLE.com", true}, {"*aab", "aaab", true},
	} {
		if got := spool.Match(tt.pattern, tt.s); got != tt.want {
			t.Errorf("Match(%q, %q) = %v", tt.pattern, tt.s, got)
		}
	}
}

func TestErrDamaged(t *testing.T) {
	if !errors.Is(spool.ErrDamaged, spool.ErrNotFound) || errors.Is(spool.ErrNotFound, spool.ErrDamaged) {
		t.Error("ErrDamaged must wrap ErrNotFound, and not the other way round")
	}
}
