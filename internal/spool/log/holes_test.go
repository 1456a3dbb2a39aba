package log

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/vfs"
)

// TestP2Holes makes one file after the other as long as no disk is, by a hole at its end: the spool opens, reads no more than there
// is, says what it found and has all its mail.
func TestP2Holes(t *testing.T) {
	const long = 1 << 40
	root := t.TempDir()
	probe, err := vfs.OS{}.Create(filepath.Join(root, "probe"))
	if err == nil {
		err = probe.Truncate(long)
	}
	if err != nil {
		t.Skip("no holes of that length here: ", err)
	}
	defer probe.Close()
	if vfs.NextData(probe, 0, long) != long {
		t.Skip("this system does not tell holes")
	}
	for _, ext := range []string{".log", ".chk", ".seg", ".dat"} {
		t.Run(ext, func(t *testing.T) {
			reads := int64(0)
			dir := filepath.Join(root, ext, "queue")
			fs := vfs.Inject(vfs.OS{}, func(op vfs.Op, _ string, n int) error {
				if op == vfs.OpRead || op == vfs.OpWrite {
					reads += int64(n)
				}
				return nil
			}, nil)
			o := Options{Dir: dir, FS: fs, SmallMessage: 3000, Limits: Limits{MinFree: -1, MinInodes: -1}}
			s := mustOpen(t, o)
			ids := []mail.QueueID{commitOne(t, s, make([]byte, 500), "a@example.com"), commitOne(t, s, make([]byte, 5000), "b@example.com")}
			if err := s.checkpoint(); err != nil {
				t.Fatal(err)
			}
			ids = append(ids, commitOne(t, s, make([]byte, 600), "c@example.com"))
			if err := s.Report(t.Context(), []mail.Change{{ID: ids[2], Kind: mail.ChangeHold}}); err != nil {
				t.Fatal(err)
			}
			close(s.quit) // it dies
			<-s.idle
			s.closeFiles()
			s.lock.Close()
			names, err := filepath.Glob(filepath.Join(dir, "*"+ext))
			if err != nil || len(names) == 0 {
				t.Fatalf("%q, %v", names, err)
			}
			cutFile(t, vfs.OS{}, names[len(names)-1], long)
			reads = 0
			s, err = Open(o)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if reads > 64<<20 {
				t.Errorf("%d octets were read and written", reads)
			}
			st := s.Stats()
			if st.Messages != 3 || st.Held != 1 || st.Lost > 0 {
				t.Errorf("%d messages, %d held, %d lost: %q", st.Messages, st.Held, st.Lost, st.Notes)
			}
			if ext != ".dat" && !strings.Contains(strings.Join(append(st.Notes, st.Unfinished...), "\n"), filepath.Base(names[len(names)-1])) {
				t.Errorf("the file is not named: %q", st.Notes)
			}
		})
	}
}
