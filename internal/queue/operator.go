package queue

import (
	"math"
)

// routeTable holds the next hops that operators have set for recipients, each once.
type routeTable struct {
	byText map[string]uint16
	list   []operatorRoute
	free   []uint16
}

// operatorRoute is one of them. Hop 0: it could not be made yet.
type operatorRoute struct {
	text string
	hop  uint32
	refs uint32
}

func (t *routeTable) init() {
	*t = routeTable{byText: make(map[string]uint16), list: make([]operatorRoute, 1)}
}

func (t *routeTable) at(i uint16) *operatorRoute { return &t.list[i] }

// hold returns the number of a route, to which it adds a reference; 0 for the empty text, and when there are
// 65,535 already.
func (t *routeTable) hold(text string) uint16 {
	i, ok := t.byText[text]
	switch n := len(t.free); {
	case text == "":
		return 0
	case ok:
	case n > 0:
		i, t.free = t.free[n-1], t.free[:n-1]
		t.list[i] = operatorRoute{text: text}
	case len(t.list) > math.MaxUint16:
		return 0
	default:
		i = uint16(len(t.list))
		t.list = append(t.list, operatorRoute{text: text})
	}
	t.byText[text] = i
	t.list[i].refs++
	return i
}

// dropRoute gives a reference to a route back.
func (q *Queue) dropRoute(i uint16) {
	if i == 0 {
		return
	}
	r := q.routes.at(i)
	if r.refs--; r.refs > 0 {
		return
	}
	delete(q.routes.byText, r.text)
	old := r.hop
	*r = operatorRoute{}
	q.routes.free = append(q.routes.free, i)
	q.unlead(old)
}
