package cli

import (
	"fmt"
	"strconv"
	"time"

	"github.com/mailroot/mailroot/internal/config"
	"github.com/mailroot/mailroot/internal/control"
)

type versionCommand struct{}

// Run prints the version.
func (versionCommand) Run(e *env) error {
	if e.json {
		e.printJSON(map[string]string{"version": Version})
		return nil
	}
	fmt.Fprintln(e.Out, "mailroot", Version)
	return nil
}

type statusCommand struct{}

// Run shows how the service is.
func (statusCommand) Run(e *env) error {
	api, err := e.client()
	if err != nil {
		return err
	}
	s, err := api.Status(e.ctx)
	if err != nil {
		return err
	}
	if e.json {
		e.printJSON(s)
		return nil
	}
	now := time.Now()
	fmt.Fprintf(e.Out, "Mailroot %s, process %d, up %s\nConfiguration %s\n", s.Version, s.PID, ago(s.Since, now), s.Config)
	limit := ""
	if s.Memory.Limit > 0 {
		limit = ", limit " + octets(s.Memory.Limit)
	}
	fmt.Fprintf(e.Out, "Memory %s%s, %d messages refused for it\n", octets(s.Memory.Used), limit, s.Memory.Refused)
	for _, w := range s.Warnings {
		fmt.Fprintf(e.Out, "Warning: %s\n", printable(w))
	}
	for _, v := range s.VirtualServers {
		e.printServer(v, now)
	}
	return nil
}

func (e *env) printServer(v control.ServerStatus, now time.Time) {
	fmt.Fprintf(e.Out, "\nVirtual server %q (%s)\n", v.Name, printable(v.Description))
	line := func(name, format string, args ...any) {
		fmt.Fprintf(e.Out, "  %-15s %s\n", name, printable(fmt.Sprintf(format, args...)))
	}
	line("Name", "%s, default domain %s", v.FQDN, v.DefaultDomain)
	for _, b := range v.Bindings {
		note := ""
		if b.Note != "" {
			note = " (" + b.Note + ")"
		}
		line("Listens on", "%s, TLS %s%s", b.Address, b.TLS, note)
	}
	limit := "no limit"
	if v.Inbound.Limit > 0 {
		limit = "limit " + strconv.Itoa(v.Inbound.Limit)
	}
	over := ""
	if n := v.Inbound.RefusedAddress + v.Inbound.RefusedNetwork + v.Inbound.RefusedMemory; n > 0 {
		over = fmt.Sprintf(" (%d for their address, %d for their network, %d for want of memory)", v.Inbound.RefusedAddress, v.Inbound.RefusedNetwork, v.Inbound.RefusedMemory)
	}
	line("Inbound", "%d connections (%s), %d since the start, %d refused%s, %d messages taken", v.Inbound.Connections, limit, v.Inbound.Accepted, v.Inbound.Refused, over, v.Inbound.Messages)
	line("Refused", "%d connections by connection control, %d recipients for relay, %d TLS handshakes failed, %d over the session size",
		v.Inbound.Denied, v.Inbound.RelayRefused, v.Inbound.TLSFailures, v.Inbound.SessionSizeMet)
	line("Repaired", "%d line ends in %d messages", v.Inbound.RepairedLineEnds, v.Inbound.RepairedMessages)
	printPickup(v.Pickup, line)
	q := v.Queue
	loading := ""
	if q.Loading {
		loading = ", still reading the queue folder"
	}
	line("Queue", "%d messages, %d recipients: %d ready, %d deferred, %d held, %d frozen, %d in flight%s", q.Messages, q.Recipients, q.Ready, q.Deferred, q.Held, q.Frozen, q.InFlight, loading)
	if !q.Oldest.IsZero() {
		line("Oldest", "%s ago", ago(q.Oldest, now))
	}
	for _, z := range v.Frozen {
		line("Frozen", "%s", frozenText(z, now))
	}
	line("Since the start", "%d delivered, %d failed, %d times deferred", q.Delivered, q.Failed, q.Deferrals)
	r := v.Reports
	line("Reports", "%d of failure, %d of delay, %d of success, %d relayed; %d to Badmail", r.Failure, r.Delay, r.Success, r.Relayed, r.Badmail)
	printSpool(v.Spool, now, line)
	e.printLog(v.Log, line)
	line("Badmail", "%s", badmailLine(v.Badmail))
	line("Folders", "Pickup %s", v.Folders.Pickup)
	line("", "Queue %s", v.Folders.Queue)
	line("", "Drop %s", v.Folders.Drop)
	line("", "Badmail %s", v.Folders.Badmail)
	if len(v.NextHops) > 0 {
		fmt.Fprintln(e.Out)
		e.printHops(v.NextHops, now)
	}
}

func printPickup(p control.PickupStatus, line func(name, format string, args ...any)) {
	left := ""
	if p.Skipped > 0 {
		left = fmt.Sprintf(", %d left alone", p.Skipped)
	}
	line("Pickup", "%d %s waiting, %d in flight%s, %d messages taken, %d to Badmail", p.Waiting, plural(p.Waiting, "file", "files"), p.InFlight, left, p.Messages, p.Badmail)
	for _, l := range p.Late {
		line("Late file", "%s", l)
	}
	if p.Error != "" {
		line("Pickup error", "%s", p.Error)
	}
}

func printSpool(s control.SpoolStatus, now time.Time, line func(name, format string, args ...any)) {
	spares := ""
	if s.Spares > 0 {
		spares = fmt.Sprintf(" and %d %s (%s, free after a minute of little mail)", s.Spares, plural(s.Spares, "spare", "spares"), octets(s.SpareOctets))
	}
	line("Spool", "%s in %d %s%s, %d damaged %s in quarantine", octets(s.Octets), s.Segments, plural(s.Segments, "segment", "segments"), spares, s.Quarantined, plural(s.Quarantined, "part", "parts"))
	if s.Lost > 0 || s.Unread > 0 || s.Torn > 0 {
		line("", "%d lost, %d %s could not be read, %d unfinished %s of files cut off", s.Lost, s.Unread, plural(int(s.Unread), "file", "files"),
			s.Torn, plural(int(s.Torn), "end", "ends"))
	}
	for _, note := range s.Notes {
		line("Spool trouble", "%s", note)
	}
	if s.MoreNotes > 0 {
		line("", "and %d more; see the log of the service", s.MoreNotes)
	}
	if s.LowSpace {
		line("Disk", "too little space is left for the queue: new mail is refused with 452 4.3.1 until there is more")
	}
	if s.LowMemory {
		line("Memory", "messages that are coming in hold too much: others are refused with 452 4.3.1 until they hold half")
	}
	switch {
	case s.Refusing != "":
		line("Refusing mail", "for %s, %d %s since the start: %s", ago(s.RefusingSince, now), s.Refused, plural(int(s.Refused), "message", "messages"), s.Refusing)
	case s.Refused > 0:
		line("", "%d %s refused for trouble of the spool; mail is taken again", s.Refused, plural(int(s.Refused), "message was", "messages were"))
	}
	if s.DeliveryWaits != "" {
		line("Delivery waits", "for %s: what becomes of mail cannot be written down, and would be sent again after a restart: %s", ago(s.DeliveryWaitsSince, now), s.DeliveryWaits)
	}
	switch {
	case s.Unreadable != "":
		line("Cannot read", "messages of the queue for %s, %d %s since the start: %s", ago(s.UnreadableSince, now), s.ReadErrors, plural(int(s.ReadErrors), "read failed", "reads failed"), s.Unreadable)
	case s.ReadErrors > 0:
		line("", "%d %s of messages failed; they can be read again", s.ReadErrors, plural(int(s.ReadErrors), "read", "reads"))
	}
	if s.Error != "" {
		line("Spool error", "%s ago: %s", ago(s.ErrorAt, now), s.Error)
	}
}

func (e *env) printLog(l control.LogStatus, line func(name, format string, args ...any)) {
	switch {
	case !l.Enabled:
		line("Log", "off")
	case l.Error != "":
		line("Log", "cannot be written, rows are kept as far as there is room, %d lost so far: %s", l.Dropped, l.Error)
	case l.Dropped > 0:
		line("Log", "%s, %d %s lost", l.File, l.Dropped, plural(int(l.Dropped), "row", "rows"))
	default:
		line("Log", "%s", l.File)
	}
}

func (e *env) printHops(hops []control.HopStatus, now time.Time) {
	rows := make([][]string, len(hops))
	for i, h := range hops {
		state := "up"
		if h.Down {
			state = "down"
		}
		next := "-"
		if !h.NextTry.IsZero() {
			next = until(h.NextTry, now)
		}
		rows[i] = []string{"  " + cut(h.Name, 40), state, strconv.Itoa(h.Ready), strconv.Itoa(h.Deferred), strconv.Itoa(h.Held + h.Frozen), strconv.Itoa(h.Active), next, cut(h.LastError, 80)}
	}
	table(e.Out, []string{"  NEXT HOP", "STATE", "READY", "DEFERRED", "HELD", "CONNECTIONS", "NEXT", "LAST ERROR"}, rows)
}

type reloadCommand struct{}

// Run makes the service read its configuration again.
func (reloadCommand) Run(e *env) error {
	api, err := e.client()
	if err != nil {
		return err
	}
	r, err := api.Reload(e.ctx)
	if err != nil {
		return err
	}
	if e.json {
		e.printJSON(r)
		return nil
	}
	for _, w := range r.Warnings {
		fmt.Fprintf(e.Out, "Warning: %s\n", printable(w))
	}
	if r.Certificates {
		fmt.Fprintln(e.Out, "Another certificate is in use now.")
	}
	if len(r.Changes) == 0 {
		if !r.Certificates {
			fmt.Fprintln(e.Out, "Nothing has changed.")
		}
		return nil
	}
	if err := config.WriteDiff(e.Out, r.Changes); err != nil {
		return err
	}
	if config.NeedsRestart(r.Changes) {
		fmt.Fprintln(e.Out, "Settings that need a restart keep their old value until then.")
	}
	return nil
}
