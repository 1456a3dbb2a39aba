package cli

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/mailroot/mailroot/internal/api"
	"github.com/mailroot/mailroot/internal/control"
	"github.com/mailroot/mailroot/internal/metabase/adopt"
)

type adoptCommand struct {
	confirmed
	Root    string `arg:"" optional:"" name:"mailroot" help:"The old Mailroot folder, with Badmail, Drop, Pickup and Queue in it, in any case; those that are not there are passed over."`
	Badmail string `placeholder:"DIR" help:"The old Badmail folder: its entries are copied into ours."`
	Drop    string `placeholder:"DIR" help:"The old Drop folder: its files are copied into ours."`
	Pickup  string `placeholder:"DIR" help:"The old Pickup folder: its files are sent as any of ours."`
	Queue   string `placeholder:"DIR" help:"The old Queue folder: its .EML files are sent, to whom their headers name."`
	Server  string `name:"virtual-server" placeholder:"NAME" help:"The virtual server that adopts, \"default\" without it; this version has no other."`
	DryRun  bool   `help:"Only tell what would become of each file."`
	Remove  bool   `help:"Remove each file from the old folder when it is adopted."`
}

// adoption is a run of the command.
type adoption struct {
	e      *env
	c      *adoptCommand
	api    *api.Client
	todo   []adopt.Entry
	ours   []ownFolder
	result adoptResult
}

// ownFolder is a folder that the service works in.
type ownFolder struct {
	kind string // as adopt has it
	info os.FileInfo
}

// adoptResult is what the command tells with --json.
type adoptResult struct {
	DryRun  bool              `json:"dry_run"`
	Entries []control.Adopted `json:"entries"`
	Left    []adopt.Left      `json:"left_alone"`
}

// The states, as control.Adopted has them, and one of the command.
const (
	stateNew      = "new"
	stateAdopted  = "adopted"
	stateAlready  = "already"
	stateUnusable = "unusable"
	stateUnread   = "unread" // this command cannot read it
)

// Run takes over what an old server left in its folders.
func (c *adoptCommand) Run(e *env) error {
	a := adoption{e: e, c: c, result: adoptResult{DryRun: c.DryRun, Entries: []control.Adopted{}, Left: []adopt.Left{}}}
	folders, err := a.folders()
	if err != nil {
		return err
	}
	client, err := e.client()
	if err != nil {
		return err
	}
	a.api = client
	if err := a.reach(); err != nil {
		return err
	}
	if err := a.find(folders); err != nil {
		return err
	}
	if err := a.look(); err != nil {
		return err
	}
	if !c.DryRun {
		if err := a.confirm(); err != nil {
			return err
		}
		if err := a.adopt(); err != nil {
			return err
		}
	}
	return a.tell()
}

// folders returns the old folders that are named, by kind.
func (a *adoption) folders() (folders map[string]string, err error) {
	c := a.c
	if c.Root != "" {
		if folders, err = adopt.Folders(c.Root); err != nil {
			return nil, err
		}
	} else {
		folders = make(map[string]string)
	}
	for kind, dir := range map[string]string{adopt.Badmail: c.Badmail, adopt.Drop: c.Drop, adopt.Pickup: c.Pickup, adopt.Queue: c.Queue} {
		if dir != "" {
			folders[kind] = dir
		}
	}
	if len(folders) == 0 {
		return nil, &exitError{ExitUsage, errors.New("name the old Mailroot folder, which has Badmail, Drop, Pickup or Queue in it, or one of these by its flag")}
	}
	return folders, nil
}

// find lists what there is in the old folders. Where the service took over a folder itself, what is in it is its own mail: to adopt it
// would send a file of Pickup twice, and remove with --remove the only copy that there is of the others. In its queue folder nothing that the old server
// left is its own.
func (a *adoption) find(folders map[string]string) error {
	for _, kind := range adopt.Kinds() {
		dir := folders[kind]
		if dir == "" {
			continue
		}
		own := a.own(dir)
		if own != "" && (own != adopt.Queue || kind != adopt.Queue) {
			a.result.Left = append(a.result.Left, adopt.Left{Kind: kind, Name: dir, Why: "it is the " + own + " folder of this service, which has what is in it already"})
			continue
		}
		entries, left, err := adopt.Find(kind, dir)
		if err != nil {
			return err
		}
		if own != "" {
			left = nil // most are the service's
		}
		a.todo, a.result.Left = append(a.todo, entries...), append(a.result.Left, left...)
	}
	return nil
}

// own returns what the service uses a folder for, by whatever path, or "".
func (a *adoption) own(dir string) string {
	info, err := os.Stat(dir)
	if err != nil {
		return ""
	}
	for _, f := range a.ours {
		if os.SameFile(info, f.info) {
			return f.kind
		}
	}
	return ""
}

// reach sees to it that the service answers and has the virtual server, so that no file is blamed for either, and notes
// its folders.
func (a *adoption) reach() error {
	s, err := a.api.Status(a.e.ctx)
	if err != nil {
		return err
	}
	var names []string
	for i := range s.VirtualServers {
		v := &s.VirtualServers[i]
		names = append(names, strconv.Quote(v.Name))
		for _, f := range []struct{ kind, dir string }{
			{adopt.Badmail, v.Folders.Badmail}, {adopt.Drop, v.Folders.Drop}, {adopt.Pickup, v.Folders.Pickup}, {adopt.Queue, v.Folders.Queue},
		} {
			if info, err := os.Stat(f.dir); err == nil {
				a.ours = append(a.ours, ownFolder{f.kind, info})
			}
		}
	}
	if a.c.Server == "" || slices.Contains(names, strconv.Quote(a.c.Server)) {
		return nil
	}
	return &exitError{ExitNotFound, fmt.Errorf("the service has no virtual server %q; --virtual-server can be: %s", printable(a.c.Server), strings.Join(names, ", "))}
}

// sends reports whether adopting something of a kind sends mail.
func sends(kind string) bool { return kind == adopt.Pickup || kind == adopt.Queue }

// look asks what would become of what is sent; of all with --dry-run.
func (a *adoption) look() error {
	for i := range a.todo {
		entry := &a.todo[i]
		got := control.Adopted{Kind: entry.Kind, Name: entry.Files[0].Name, State: stateNew}
		if sends(entry.Kind) || a.c.DryRun {
			var err error
			if got, err = a.offer(entry, "", true); err != nil {
				return err
			}
		}
		a.result.Entries = append(a.result.Entries, got)
	}
	return nil
}

// offer gives one entry to the service. A file that cannot be read is told in the result.
func (a *adoption) offer(entry *adopt.Entry, key string, look bool) (control.Adopted, error) {
	r := control.Adoption{Server: a.c.Server, Kind: entry.Kind, Key: key, Look: look}
	for _, f := range entry.Files {
		r.Files = append(r.Files, control.AdoptedFile{Name: f.Name, Size: f.Size})
	}
	body, err := entry.Open()
	if err != nil {
		return control.Adopted{Kind: entry.Kind, Name: entry.Files[0].Name, State: stateUnread, Reason: err.Error()}, nil
	}
	defer body.Close()
	got, err := a.api.Adopt(a.e.ctx, r, body)
	if err != nil && !errors.Is(err, api.ErrNotRunning) {
		err = fmt.Errorf("%s: %w", printable(entry.Files[0].Name), err)
	}
	return got, err
}

// count returns how many entries that are sent, or not, are in a state.
func (a *adoption) count(state string, sent bool) (n int) {
	for i := range a.result.Entries {
		if r := &a.result.Entries[i]; r.State == state && sends(r.Kind) == sent {
			n++
		}
	}
	return n
}

// confirm asks before mail is sent.
func (a *adoption) confirm() error {
	n := a.count(stateNew, true)
	if n == 0 || a.c.Yes {
		return nil
	}
	if !isTerminal(a.e.In) {
		return &exitError{ExitUsage, fmt.Errorf("this would send %s; look at %s with --dry-run, and add --yes if that is meant", messageCount(n), plural(n, "it", "them"))}
	}
	if !a.e.json {
		a.tellMessages()
	}
	fmt.Fprintf(a.e.Err, "This will send %s. Go on? [y/N] ", messageCount(n))
	if !a.e.agreed() {
		return &exitError{ExitFailed, errors.New("nothing was done")}
	}
	return nil
}

// adopt adopts all. An error of the service ends it: what is adopted stays so, and another run goes on.
func (a *adoption) adopt() error {
	for i := range a.todo {
		r := &a.result.Entries[i]
		if r.State == stateNew {
			got, err := a.offer(&a.todo[i], r.Key, false)
			if err != nil {
				n := a.count(stateAdopted, true) + a.count(stateAdopted, false)
				return fmt.Errorf("after %d %s: %w\nWhat was adopted stays so; the same command goes on from there", n, plural(n, "entry", "entries"), err)
			}
			*r = got
		}
		if a.c.Remove && (r.State == stateAdopted || r.State == stateAlready) {
			if err := a.todo[i].Remove(); err != nil {
				return fmt.Errorf("it is adopted as %s, and cannot be removed: %w", r.As, err)
			}
		}
	}
	return nil
}

// tell says what became of all. What is not adopted is an exit code of its own.
func (a *adoption) tell() error {
	if a.e.json {
		a.e.printJSON(a.result)
	} else {
		a.tellMessages()
		a.tellCopies()
		for _, l := range a.result.Left {
			fmt.Fprintf(a.e.Out, "%s: %s is left alone: %s.\n", l.Kind, printable(l.Name), printable(l.Why))
		}
		a.tellSum()
	}
	if a.count(stateUnusable, true)+a.count(stateUnusable, false)+a.count(stateUnread, true)+a.count(stateUnread, false) > 0 {
		return &exitError{ExitFailed, errQuiet}
	}
	if len(a.result.Entries) == 0 {
		return &exitError{ExitNotFound, errors.New("there is nothing to adopt")}
	}
	return nil
}

const shownRecipients = 5

// tellMessages lists what is sent, each with its envelope and the fields that told it.
func (a *adoption) tellMessages() {
	var rows [][]string
	queue := false
	for i := range a.result.Entries {
		r := &a.result.Entries[i]
		if !sends(r.Kind) {
			continue
		}
		queue = queue || r.Kind == adopt.Queue
		to := cmp.Or(strings.Join(r.Recipients[:min(len(r.Recipients), shownRecipients)], ", "), "-")
		if more := r.RecipientCount - shownRecipients; more > 0 {
			to += fmt.Sprintf(" and %d more", more)
		}
		if r.RecipientsBy != "" {
			to += " (" + r.RecipientsBy + ")"
		}
		from := cmp.Or(r.Sender, "-")
		if r.SenderBy != "" {
			from += " (" + r.SenderBy + ")"
		}
		if r.Reason != "" {
			from, to = "-", r.Reason
		}
		rows = append(rows, []string{r.Kind, cut(r.Name, 60), stateOf(r), from, to})
	}
	if len(rows) == 0 {
		return
	}
	table(a.e.Out, []string{"FOLDER", "FILE", "STATE", "SENDER", "RECIPIENTS"}, rows)
	if queue {
		fmt.Fprintln(a.e.Out, "The envelopes of the old queue cannot be read. Who sends and who receives is told by the header: whom the old\nserver has served already gets the message again, and whom the header does not name gets none.")
	}
}

// stateOf names the state, and what it has become.
func stateOf(r *control.Adopted) string {
	if r.As == "" {
		return r.State
	}
	return r.State + " as " + r.As
}

// tellCopies lists what is copied, as far as there is something to say of it.
func (a *adoption) tellCopies() {
	for i := range a.result.Entries {
		r := &a.result.Entries[i]
		name := strings.TrimSuffix(r.Name, filepath.Ext(r.Name)) // of an entry of Badmail
		switch {
		case sends(r.Kind):
		case r.Reason != "":
			fmt.Fprintf(a.e.Out, "%s: %s cannot be adopted: %s\n", r.Kind, printable(r.Name), printable(r.Reason))
		case r.State == stateAdopted && !strings.EqualFold(r.As, r.Name) && !strings.EqualFold(r.As, name):
			fmt.Fprintf(a.e.Out, "%s: %s is here %s.\n", r.Kind, printable(r.Name), r.As)
		}
	}
}

// tellSum counts by folder.
func (a *adoption) tellSum() {
	for _, kind := range adopt.Kinds() {
		n := make(map[string]int)
		all := 0
		for i := range a.result.Entries {
			if r := &a.result.Entries[i]; r.Kind == kind {
				n[r.State]++
				all++
			}
		}
		if all == 0 {
			continue
		}
		var words []string
		for _, s := range []struct{ state, word string }{
			{stateNew, "to be adopted"}, {stateAdopted, "adopted"}, {stateAlready, "adopted already"}, {stateUnusable, "unusable"}, {stateUnread, "cannot be read"},
		} {
			if n[s.state] > 0 {
				words = append(words, fmt.Sprintf("%d %s", n[s.state], s.word))
			}
		}
		fmt.Fprintf(a.e.Out, "%s: %s.\n", kind, strings.Join(words, ", "))
	}
}
