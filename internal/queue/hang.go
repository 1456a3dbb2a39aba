package queue

// A server that takes connections and then says nothing can hold one for minutes, and until it has
// failed nobody knows it for dead. So a hop of which nothing was heard for a while counts with
// those that are down, and its connections, while nothing was sent over them, give way to whoever
// waits for one: the recipients go back to the ready queue without an attempt being counted, and the hop is
// tried again, with all the time that a server may take, among those that are down.
const (
	// patienceMillis is that while for a hop of which no run has a server yet. It leaves room for servers
	// that greet late on purpose: five or six seconds are usual.
	patienceMillis = 10 * 1000
	// transferMillis is the same where a server has greeted, and may be taking a large message.
	transferMillis = 60 * 1000
)

// connected is Work.Connected. False: the run was given up and is to send nothing.
func (q *Queue) connected(r *run) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if r.cut {
		return false
	}
	q.hear(r, q.now())
	if h := r.hop; h.hung {
		h.hung = false
		q.setClass(h, classNew)
	}
	return true
}

// hear notes a sign of life of the run's server. From then on the run is not cut off.
func (q *Queue) hear(r *run, now int64) {
	r.hop.heard, r.hop.met = now, true
	if r.unheard {
		r.unheard = false
		q.unheard.remove(r)
	}
}

// listen begins to wait for a sign of life of a hop of which r is the only run at work.
func (q *Queue) listen(r *run, now int64) {
	r.hop.heard, r.hop.met = now, !r.unheard
	q.watch(r.hop, now)
}

// watch looks whether a hop that has runs has been silent for too long, and has the scheduler look again
// when it may have been.
func (q *Queue) watch(h *hop, now int64) {
	if h.runs == 0 || h.class != classGood && h.class != classNew {
		return
	}
	busy := int(h.runs) > len(h.idle)
	patience := int64(patienceMillis)
	if h.met {
		patience = transferMillis
	}
	switch {
	case !busy:
		// listen comes with the next batch
	case now-h.heard >= patience:
		h.hung = true
		q.setClass(h, classDown)
	default:
		q.setAlarm(h, h.heard+patience)
	}
}

// giveWay cuts off runs of hops that hang, one for each hop that waits at most, the oldest first. Those that
// began when their hop was down already have the time that a server may take.
func (q *Queue) giveWay() {
	waiting := 0
	for c := range q.line {
		waiting += q.line[c].len()
	}
	for r := q.unheard.first; r != nil && q.cutting < waiting; {
		following := q.unheard.next(r)
		if r.hop.class == classDown && !r.probe {
			q.cutOff(r)
		}
		r = following
	}
}

// cutOff ends a run that has sent nothing.
func (q *Queue) cutOff(r *run) {
	r.unheard, r.cut, r.ending = false, true, true
	q.unheard.remove(r)
	q.cutting++
	if r.cancel != nil { // else it begins in a moment, and sees that it is cut
		r.cancel()
	}
}

// cutAll ends the runs that have sent nothing, when the queue stops.
func (q *Queue) cutAll() {
	for q.unheard.first != nil {
		q.cutOff(q.unheard.first)
	}
}
