package pickup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/mailroot/mailroot/internal/intake"
	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/spool"
	spoollog "github.com/mailroot/mailroot/internal/spool/log"
)

// BenchmarkTake takes a backlog of files of 2 KB from a real disk into a real spool, all syncs included.
func BenchmarkTake(b *testing.B) {
	root := b.TempDir()
	pickup := filepath.Join(root, "Pickup")
	if err := os.Mkdir(pickup, 0o700); err != nil {
		b.Fatal(err)
	}
	text := []byte(plainMail)
	for len(text) < 2000 {
		text = append(text, "a line of text\r\n"...)
	}
	for i := range b.N {
		if err := os.WriteFile(filepath.Join(pickup, fmt.Sprint(i)), text, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	store, err := spoollog.Open(spoollog.Options{Dir: filepath.Join(root, "Queue")})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	var all sync.WaitGroup
	all.Add(b.N)
	in := intake.New(intake.Options{
		Spool:         func(ctx context.Context) (intake.SpoolTx, error) { return store.Begin(ctx) },
		Enqueue:       func(*mail.Envelope) { all.Done() },
		FQDN:          func() string { return "relay.example.com" },
		DefaultDomain: func() string { return "example.com" },
	})
	p := New(Options{
		Dir: pickup, Files: OS{}, Watch: Watch, Settings: Settings{DotStuffed: true},
		Begin: func(ctx context.Context) (Transaction, error) { return in.BeginPickup(ctx) },
		Sent: func(ctx context.Context, id mail.QueueID) (bool, error) {
			_, err := store.Status(ctx, id)
			if errors.Is(err, spool.ErrNotFound) {
				err = nil
			}
			return false, err
		},
		Badmail: func(_ context.Context, bad *Bad) error { return errors.New(bad.Reason) },
	})
	if err := p.Recover(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	p.Start(b.Context())
	all.Wait()
	b.StopTimer()
	p.Stop(context.Background())
}
