package metabase

import (
	"strings"

	"github.com/mailroot/mailroot/internal/config"
)

func (c *converter) logging() {
	b := c.vs.block("logging", "")
	c.yes(b, "enabled", "LogType")
	format := c.logFormat(b)
	c.logFields(b)
	c.rollover(b)
	if v := c.value("LogFileLocaltimeRollover"); v.set() {
		c.yes(b, "local_time", "LogFileLocaltimeRollover")
	}
	c.odbc(b, format)
}

// logFormats are the names of the formats below /LM/Logging, and their CLSIDs where the file does not tell them.
func logFormats() []struct{ format, name, clsid string } {
	return []struct{ format, name, clsid string }{
		{"w3c", "W3C Extended Log File Format", "{FF160663-DE82-11CF-BC0A-00AA006111E0}"},
		{"iis", "Microsoft IIS Log File Format", "{FF160657-DE82-11CF-BC0A-00AA006111E0}"},
		{"ncsa", "NCSA Common Log File Format", "{FF16065F-DE82-11CF-BC0A-00AA006111E0}"},
		{"odbc", "ODBC Logging", "{FF16065B-DE82-11CF-BC0A-00AA006111E0}"},
	}
}

// formatOf finds a log format by its CLSID: what the file says of it goes before what is known.
func (c *converter) formatOf(clsid string) string {
	for _, k := range c.tree.below("/LM/Logging") {
		id := k.get("LogModuleId")
		if id == nil || !strings.EqualFold(strings.TrimSpace(id.Value), clsid) {
			continue
		}
		name := k.Path[strings.LastIndexByte(k.Path, '/')+1:]
		for _, f := range logFormats() {
			if strings.EqualFold(f.name, name) {
				return f.format
			}
		}
		return ""
	}
	for _, f := range logFormats() {
		if strings.EqualFold(f.clsid, clsid) {
			return f.format
		}
	}
	return ""
}

func (c *converter) logFormat(b *block) string {
	v := c.value("LogPluginClsid")
	if strings.TrimSpace(v.text) == "" {
		return ""
	}
	format := c.formatOf(strings.TrimSpace(v.text))
	if format == "" {
		c.leave(v, "no log format of this CLSID is known; the log is written as W3C Extended")
		return ""
	}
	c.record(v, b.set("format", config.Quote(format), v.note()), "")
	return format
}

// logFieldBits are the fields of the W3C format, in the order of their columns.
func logFieldBits() []struct {
	bit          uint32
	name, column string
} {
	return []struct {
		bit          uint32
		name, column string
	}{
		{0x1, "Date", "date"}, {0x2, "Time", "time"}, {0x4, "ClientIp", "c-ip"}, {0x8, "UserName", "cs-username"},
		{0x10, "SiteName", "s-sitename"}, {0x20, "ComputerName", "s-computername"}, {0x40, "ServerIp", "s-ip"}, {0x8000, "ServerPort", "s-port"},
		{0x80, "Method", "cs-method"}, {0x100, "UriStem", "cs-uri-stem"}, {0x200, "UriQuery", "cs-uri-query"}, {0x400, "HttpStatus", "sc-status"},
		{0x800, "Win32Status", "sc-win32-status"}, {0x1000, "BytesSent", "sc-bytes"}, {0x2000, "BytesRecv", "cs-bytes"},
		{0x4000, "TimeTaken", "time-taken"}, {0x80000, "ProtocolVersion", "cs-version"}, {0x100000, "Host", "cs-host"},
		{0x10000, "UserAgent", "cs(User-Agent)"}, {0x20000, "Cookie", "cs(Cookie)"}, {0x40000, "Referer", "cs(Referer)"},
		{0x200000, "HttpSubStatus", "sc-substatus"},
	}
}

func (c *converter) logFields(b *block) {
	v := c.value("LogExtFileFlags")
	if strings.TrimSpace(v.text) == "" {
		return
	}
	names := make(map[string]uint32)
	for _, f := range logFieldBits() {
		names["logextfile"+strings.ToLower(f.name)] = f.bit
	}
	word, err := flags(v.text, names)
	if err != nil {
		c.leave(v, "%v; all fields are logged", err)
		return
	}
	var columns []string
	all := true
	for _, f := range logFieldBits() {
		switch {
		case f.column == "sc-substatus": // of the web alone
		case word&f.bit != 0:
			columns = append(columns, f.column)
		default:
			all = false
		}
	}
	if all || len(columns) == 0 {
		columns = []string{"all"}
	}
	c.record(v, b.set("fields", list(columns), v.note()), "")
}

func (c *converter) rollover(b *block) {
	v, size := c.value("LogFilePeriod"), c.value("LogFileTruncateSize")
	if !v.set() {
		return
	}
	n, err := number(v.text)
	limit, sizeErr := number(size.text)
	periods := []string{"size", "daily", "weekly", "monthly", "hourly"}
	switch {
	case err != nil || int(n) >= len(periods):
		c.leave(v, "%s is no period that is known", quoted(v.text))
		return
	case n == 0 && sizeErr == nil && limit == noLimit:
		e := b.set("rollover", `"never"`, v.note())
		c.record(v, e, "")
		c.record(size, e, "")
		return
	}
	c.record(v, b.set("rollover", config.Quote(periods[n]), v.note()), "")
	switch {
	case n == 0:
		c.size(b, "rollover_size", "LogFileTruncateSize")
	case size.set():
		c.leave(size, "a new file begins by time, not by size")
	}
}

// odbc converts where the ODBC format writes.
func (c *converter) odbc(b *block, format string) {
	settings := []struct{ name, property string }{{"dsn", "LogOdbcDataSource"}, {"table", "LogOdbcTableName"}, {"user", "LogOdbcUserName"}}
	password := c.value("LogOdbcPassword")
	if format != "odbc" {
		for _, s := range settings {
			if v := c.value(s.property); v.set() {
				c.leave(v, "the log is not written by ODBC")
			}
		}
		if password.set() {
			c.leave(password, "the log is not written by ODBC")
		}
		return
	}
	sub := b.block("odbc", "")
	for _, s := range settings {
		c.text(sub, s.name, s.property)
	}
	sub.set("password", `"…"`, "LogOdbcPassword "+whyEncrypted+".")
	if password.set() {
		c.leave(password, "%s", whyEncrypted)
	}
}
