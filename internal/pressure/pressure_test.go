package pressure

import (
	"math"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"
)

// fake is a memory that a test fills.
type fake struct {
	used, garbage, collections, looks atomic.Int64
}

func (f *fake) Used() (int64, uint64) {
	f.looks.Add(1)
	return f.used.Load(), uint64(f.collections.Load())
}

func (f *fake) Collect() {
	f.used.Add(-f.garbage.Swap(0))
	f.collections.Add(1)
}

// TestLevelsF27: both levels are left later than entered, and asking looks once a second at most (bad input F27).
func TestLevelsF27(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		var told []Level
		g := New(Options{Limit: 1000_000, Used: f.Used, Collect: f.Collect, Changed: func(s State) { told = append(told, s.Level) }})
		defer g.Stop()
		for i, step := range []struct {
			used int64
			want Level
		}{
			{799_000, Easy}, {800_000, Tight}, {799_000, Tight}, {701_000, Tight}, {699_000, Easy}, {799_000, Easy},
			{900_000, Dire}, {899_000, Dire}, {800_000, Dire}, {799_000, Tight}, {899_000, Tight}, {950_000, Dire}, {0, Easy},
		} {
			time.Sleep(every)
			f.used.Store(step.used)
			time.Sleep(every)
			if got := g.Level(); got != step.want {
				t.Errorf("step %d: %d in use is level %d, want %d", i, step.used, got, step.want)
			}
			if s := g.State(); s.Used != step.used || s.Limit != 1000_000 || s.Since.IsZero() != (step.want == Easy) {
				t.Errorf("step %d: %+v", i, s)
			}
		}
		if want := []Level{Tight, Easy, Dire, Tight, Dire, Easy}; !slices.Equal(told, want) {
			t.Errorf("told %v, want %v", told, want)
		}
		time.Sleep(every)
		before := f.looks.Load()
		for range 10_000 {
			g.Level()
		}
		if n := f.looks.Load() - before; n != 1 {
			t.Errorf("%d looks in one second", n)
		}
	})
}

// TestItIsOverByItself: without a caller and without a collection of the runtime's own the end is seen, and then
// nothing runs any more.
func TestItIsOverByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		var told atomic.Int32
		g := New(Options{Limit: 1000, Used: f.Used, Collect: f.Collect, Changed: func(State) { told.Add(1) }})
		f.used.Store(950)
		time.Sleep(every)
		if g.Level() != Dire {
			t.Fatal("no pressure")
		}
		f.garbage.Store(800)
		time.Sleep(collectAfter + 2*every)
		if told.Load() != 2 || f.used.Load() != 150 || f.collections.Load() != 1 {
			t.Errorf("told %d times, %d in use, %d collections", told.Load(), f.used.Load(), f.collections.Load())
		}
		looks := f.looks.Load()
		time.Sleep(time.Hour)
		if f.looks.Load() != looks {
			t.Error("it is looked at while all is well and nobody asks")
		}
		g.Stop()
		g.Stop()
	})
}

func TestLimitChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		f.used.Store(500_000)
		g := New(Options{Limit: -1, Used: f.Used, Collect: f.Collect})
		defer g.Stop()
		for _, step := range []struct {
			limit int64
			want  Level
		}{{-1, Easy}, {550_000, Dire}, {600_000, Dire}, {640_000, Tight}, {1000_000, Easy}, {520_000, Dire}, {-1, Easy}} {
			g.SetLimit(step.limit)
			if got := g.State(); got.Level != step.want || got.Limit != max(0, step.limit) {
				t.Errorf("limit %d: %+v", step.limit, got)
			}
		}
	})
}

// TestProcess reads the real figures: what is kept counts, what is let go does not.
func TestProcess(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(-1))
	g := New(Options{Limit: 1 << 40})
	defer g.Stop()
	if got := debug.SetMemoryLimit(-1); got != 1<<40 {
		t.Errorf("the collector keeps to %d", got)
	}
	m := newMeter()
	g.o.Collect()
	before, n := m.used()
	kept := make([]byte, 256<<20)
	g.o.Collect()
	with, more := m.used()
	if before <= 0 || more <= n || with-before < 250<<20 || with-before > 270<<20 {
		t.Errorf("%d in use, and %d with 256 MB more; %d collections more", before, with, more-n)
	}
	kept[0] = 1
	kept = nil
	g.o.Collect()
	if after, _ := m.used(); after-before > 20<<20 {
		t.Errorf("%d in use before, %d after", before, after)
	}
	g.SetLimit(-1)
	if got := debug.SetMemoryLimit(-1); got != math.MaxInt64 {
		t.Errorf("without a limit the collector keeps to %d", got)
	}
	if n := testing.AllocsPerRun(100, func() { g.Level(); m.used() }); n != 0 {
		t.Errorf("%v allocations for a look", n)
	}
}

func TestGroup(t *testing.T) {
	files := func(list ...string) fstest.MapFS {
		fs := fstest.MapFS{}
		for i := 0; i < len(list); i += 2 {
			fs[list[i]] = &fstest.MapFile{Data: []byte(list[i+1])}
		}
		return fs
	}
	for name, tt := range map[string]struct {
		fs   fstest.MapFS
		want int64
	}{
		"nothing": {files(), 0},
		"version 2": {files("proc/self/cgroup", "0::/system.slice/mailroot.service\n",
			"sys/fs/cgroup/system.slice/mailroot.service/memory.max", "536870912\n"), 512 << 20},
		"version 2, the parent": {files("proc/self/cgroup", "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max", "max\n",
			"sys/fs/cgroup/a/memory.max", "1000\n", "sys/fs/cgroup/memory.max", "2000\n"), 1000},
		"a container": {files("proc/self/cgroup", "0::/\n", "sys/fs/cgroup/memory.max", "4096\n"), 4096},
		"version 1":   {files("proc/self/cgroup", "12:cpu,memory:/x\n3:cpuset:/y\n", "sys/fs/cgroup/memory/x/memory.limit_in_bytes", "700\n"), 700},
		"version 1, none": {files("proc/self/cgroup", "12:memory:/\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"), 0},
		"other text": {files("proc/self/cgroup", "x\n0::/\n::::\n", "sys/fs/cgroup/memory.max", "-5 MB\n"), 0},
		"outside":    {files("proc/self/cgroup", "0::/../../x\n", "sys/fs/cgroup/x/memory.max", "5\n"), 5},
	} {
		if got := group(tt.fs); got != tt.want {
			t.Errorf("%s: %d, want %d", name, got, tt.want)
		}
	}
}

func TestParseLimit(t *testing.T) {
	for text, want := range map[string]int64{
		"": 0, "off": 0, "0": 0, "-5": 0, "1.5GiB": 0, "12 MiB": 0, "9MB": 0, "MiB": 0, "B": 0, "99999999999TiB": 0, "9223372036854775808": 0,
		"1000": 1000, "7B": 7, "2KiB": 2 << 10, "512MiB": 512 << 20, "3GiB": 3 << 30, "1TiB": 1 << 40,
	} {
		if got := parseLimit(text); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
	t.Setenv("GOMEMLIMIT", "100MiB")
	if got := System(); got != 100<<20 {
		t.Errorf("with GOMEMLIMIT: %d", got)
	}
	t.Setenv("GOMEMLIMIT", "off")
	if got := System(); got < 100<<20 && got != 0 {
		t.Errorf("of this machine: %d", got)
	}
}
