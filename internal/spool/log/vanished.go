package log

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/spool/log/format"
)

// vanished is what journals say of recipients whose message is nowhere: true if the last word is that they wait,
// false if that may have been taken back in a part of the journals that is not there.
//
// Nothing is written of a message before its record is durable, and nothing of a recipient after its end, which is durable
// before the record goes and before a checkpoint counts that leaves it out. So a last word other than mail.ChangeDone
// proves that an acknowledged message is lost. No other message without a record is kept in mind: most were delivered.
type vanished map[rcptKey]bool

// says notes what an entry says of a message that is not there.
func (v vanished) says(e *format.Entry) {
	key := rcptKey{e.ID, uint32(e.Rcpt)}
	if e.Kind == byte(mail.ChangeDone) {
		delete(v, key)
		return
	}
	v[key] = true
}

// doubt is called where a part of the journals is missing.
func (v vanished) doubt() {
	for key := range v {
		v[key] = false
	}
}

// messages returns the ids, sorted; of a message in doubt only if nothing sure is known.
func (v vanished) messages() (lost, doubtful []mail.QueueID) {
	ids := map[mail.QueueID]bool{}
	for key, sure := range v {
		ids[key.id] = ids[key.id] || sure
	}
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		if ids[id] {
			lost = append(lost, id)
		} else {
			doubtful = append(doubtful, id)
		}
	}
	return lost, doubtful
}

// countVanished counts as lost what journals prove to be. Where something could not be read the next opening knows more.
func (r *recovery) countVanished() {
	if r.stats.Unread > 0 {
		return
	}
	if len(r.foreign) > 0 { // its marks may stand in a checkpoint that does not count here
		r.vanished.doubt()
	}
	lost, doubtful := r.vanished.messages()
	lost = slices.DeleteFunc(lost, func(id mail.QueueID) bool { return r.counted[id] })
	if len(lost) > 0 {
		r.damaged = true
		r.stats.Lost += max(0, int64(len(lost))-r.nameless) // they may be what was found damaged
		r.note(fmt.Sprintf("%d messages lost: journals say that they wait, and no record of them is there: %s", len(lost), someIDs(lost)))
	}
	if len(doubtful) > 0 {
		r.note(fmt.Sprintf("%d messages that journals name are not there; what is missing of the journals may say that they were delivered: %s", len(doubtful), someIDs(doubtful)))
	}
}

// maxNamed bounds the ids in a note.
const maxNamed = 20

// someIDs lists ids for a note.
func someIDs(ids []mail.QueueID) string {
	var names []string
	for _, id := range ids {
		names = append(names, id.String())
	}
	return someOf(names)
}

// someOf lists names for a note.
func someOf(names []string) string {
	some := names[:min(maxNamed, len(names))]
	text := strings.Join(some, ", ")
	if more := len(names) - len(some); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
