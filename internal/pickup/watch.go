package pickup

import (
	"path/filepath"
	"sync"

	"github.com/fsnotify/fsnotify"
)

// Watcher tells of changes in a folder.
type Watcher interface {
	// Changes gets a value after a file was made or written, one for many. It is closed when the folder
	// itself is gone.
	Changes() <-chan struct{}
	Close() error
}

// Watch is Options.Watch by the notification of the operating system. Some file systems have none and
// say nothing of it; what it misses the rescan finds.
func Watch(dir string) (Watcher, error) {
	n, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	if err := n.Add(dir); err != nil {
		_ = n.Close()
		return nil, err
	}
	w := &notifier{n: n, dir: filepath.Clean(dir), changes: make(chan struct{}, 1)}
	w.ended.Go(w.run)
	return w, nil
}

type notifier struct {
	n       *fsnotify.Watcher
	dir     string
	changes chan struct{}
	ended   sync.WaitGroup
}

func (w *notifier) Changes() <-chan struct{} { return w.changes }

func (w *notifier) run() {
	for {
		select {
		case e, ok := <-w.n.Events:
			if !ok {
				return
			}
			if e.Name == w.dir && (e.Has(fsnotify.Remove) || e.Has(fsnotify.Rename)) {
				close(w.changes)
				w.drain()
				return
			}
			// Our own claims are renames, our removals removals.
			if !e.Has(fsnotify.Create) && !e.Has(fsnotify.Write) {
				continue
			}
		case _, ok := <-w.n.Errors: // events were lost: look yourself
			if !ok {
				return
			}
		}
		select {
		case w.changes <- struct{}{}:
		default:
		}
	}
}

// drain reads what nobody is interested in, until Close.
func (w *notifier) drain() {
	for {
		select {
		case _, ok := <-w.n.Events:
			if !ok {
				return
			}
		case _, ok := <-w.n.Errors:
			if !ok {
				return
			}
		}
	}
}

// Close ends the notification.
func (w *notifier) Close() error {
	err := w.n.Close()
	w.ended.Wait()
	return err
}
