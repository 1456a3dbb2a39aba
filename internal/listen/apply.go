package listen

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Apply changes bindings and limits. A binding that stays the same goes on listening; one that
// is gone stops, but its connections go on. A lower limit ends no connection either. After an
// error all is as it was, except in the case that the error tells: a socket that had to make
// room for a new one of the same port could not be opened again.
func (l *Listener) Apply(bindings []Binding, limits Limits) error {
	want, err := targets(bindings)
	if err != nil {
		return err
	}
	l.change.Lock()
	defer l.change.Unlock()
	l.mu.Lock()
	closed, open := l.closed, l.open
	l.mu.Unlock()
	switch {
	case closed:
		return ErrClosed
	case open == nil: // not started yet
		l.mu.Lock()
		defer l.mu.Unlock()
		closeAll(l.bound) // Start binds what there is by then
		l.bound = nil
		l.bindings, l.limits = slices.Clone(bindings), limits
		return nil
	}
	// open changes only under l.change, which is ours.
	var add []target
	keep := make(map[string]bool)
	for _, t := range want {
		if s := open[t.binding.Addr]; s != nil && s.target == t {
			keep[t.binding.Addr] = true
		} else {
			add = append(add, t)
		}
	}
	var old []*socket
	for addr, s := range open {
		if !keep[addr] {
			old = append(old, s)
		}
	}
	added, err := l.replace(add, old)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range old {
		if l.open[s.binding.Addr] == s {
			delete(l.open, s.binding.Addr)
		}
		_ = s.Close()
	}
	l.run(added)
	l.bindings, l.limits = slices.Clone(bindings), limits
	return nil
}

// replace opens the sockets to add. Where one is in the way of another of the same port, it is
// closed first, and opened again if the whole fails.
func (l *Listener) replace(add []target, old []*socket) (added []*socket, err error) {
	ctx := context.Background()
	var shut []*socket
	for _, t := range add {
		s, err := l.listen(ctx, t)
		if err != nil && inUse(err) {
			var inWay []*socket
			for _, o := range old {
				if o.target.port == t.port && !slices.Contains(shut, o) {
					inWay = append(inWay, o)
				}
			}
			if len(inWay) > 0 {
				l.withdraw(inWay)
				shut = append(shut, inWay...)
				s, err = l.listen(ctx, t)
			}
		}
		if err != nil {
			closeAll(added)
			return nil, errors.Join(err, l.restore(ctx, shut))
		}
		added = append(added, s)
	}
	return added, nil
}

// withdraw closes sockets; their accept loops end.
func (l *Listener) withdraw(sockets []*socket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range sockets {
		delete(l.open, s.binding.Addr)
	}
	closeAll(sockets)
}

// restore opens sockets again that were withdrawn.
func (l *Listener) restore(ctx context.Context, shut []*socket) error {
	var errs []error
	for _, s := range shut {
		again, err := l.listen(ctx, s.target)
		if err != nil {
			errs = append(errs, fmt.Errorf("and what was listened on before could not be opened again: %w", err))
			continue
		}
		l.mu.Lock()
		l.run([]*socket{again})
		l.mu.Unlock()
	}
	return errors.Join(errs...)
}
