package control

import "time"

// BadmailStatus is the state of the badmail folder.
type BadmailStatus struct {
	Messages int               `json:"messages"`
	Octets   int64             `json:"octets"`
	Written  map[string]uint64 `json:"written"` // since the start, by cause
	Cleaned  uint64            `json:"cleaned"` // entries removed for their age or the size of all, since the start
	Warning  string            `json:"warning,omitempty"`
}

// BadmailFilter says which entries of badmail are meant. Texts match anywhere in an address.
type BadmailFilter struct {
	Cause     string        `json:"cause,omitempty"` // report, original, no-sender, pickup, foreign
	Code      string        `json:"code,omitempty"`  // 0xC00402C7
	Sender    string        `json:"sender,omitempty"`
	Recipient string        `json:"recipient,omitempty"`
	OlderThan time.Duration `json:"older_than,omitempty"` // nanoseconds
	NewerThan time.Duration `json:"newer_than,omitempty"`
}

// BadmailQuery asks for a page of badmail.
type BadmailQuery struct {
	BadmailFilter
	Limit  int    `json:"limit,omitempty"`  // at most, 1 to 1000; 0 stands for 100
	Cursor string `json:"cursor,omitempty"` // Next of the page before
}

// BadmailPage is one page of badmail, newest first.
type BadmailPage struct {
	Messages []BadmailEntry `json:"messages"`
	Next     string         `json:"next,omitempty"` // "" on the last page
}

// BadmailEntry is one entry of badmail. Lists have at most 10 recipients of it.
type BadmailEntry struct {
	Name           string             `json:"name"`
	Written        time.Time          `json:"written,omitzero"` // zero: not known
	Cause          string             `json:"cause"`
	Code           string             `json:"code,omitempty"`
	Reason         string             `json:"reason,omitempty"`
	Size           int64              `json:"size"` // of the message
	Subject        string             `json:"subject,omitempty"`
	MessageID      string             `json:"message_id,omitempty"` // only in show
	Sender         string             `json:"sender"`               // "<>" for the null reverse-path, "-" if none was understood
	Recipients     []BadmailRecipient `json:"recipients"`
	RecipientCount int                `json:"recipient_count"`
	Linked         string             `json:"linked,omitempty"` // the entry that belongs to it: of a report the original, in show also of an original the report
	QueueID        string             `json:"queue_id,omitempty"`
	ReportOn       string             `json:"report_on,omitempty"` // queue id
	Arrived        time.Time          `json:"arrived,omitzero"`
	Client         string             `json:"client,omitempty"`
	Foreign        string             `json:"foreign,omitempty"`    // why it counts as another program's; then sender and recipients are those of the header
	NoMessage      bool               `json:"no_message,omitempty"` // its message is missing
}

// BadmailRecipient is one recipient of an entry, with what became of it.
type BadmailRecipient struct {
	Address string `json:"address"`
	Failed  bool   `json:"failed,omitempty"`
	Copy    bool   `json:"copy,omitempty"` // it got, or gets, a copy of the report
	Reply   string `json:"reply,omitempty"`
	Host    string `json:"host,omitempty"`
}

// BadmailResubmission asks for the message of an entry to be sent once more.
type BadmailResubmission struct {
	Name   string   `json:"name"`
	Linked bool     `json:"linked,omitempty"` // and that of the entry that belongs to it
	From   string   `json:"from,omitempty"`   // "": as it was; "<>" is the null reverse-path
	To     []string `json:"to,omitempty"`     // none: those that it could not be delivered to
}

// BadmailResubmitted names what was sent, and what was not.
type BadmailResubmitted struct {
	Messages []BadmailSent   `json:"messages"`
	Failed   []BadmailUnsent `json:"failed"`
}

// BadmailUnsent is an entry that was not sent, or that was sent and is still there: then it is among the
// Messages too.
type BadmailUnsent struct {
	Name  string `json:"name"`
	Error string `json:"error"`
}

// BadmailSent is one message that is queued again.
type BadmailSent struct {
	Name    string `json:"name"`
	QueueID string `json:"queue_id"`
}

// BadmailSelection names entries: by name, by filter, or all of them.
type BadmailSelection struct {
	Names []string `json:"names,omitempty"`
	BadmailFilter
	All    bool `json:"all,omitempty"`
	Linked bool `json:"linked,omitempty"`  // with names: and the entries that belong to them
	DryRun bool `json:"dry_run,omitempty"` // count only
}

// BadmailDeleted tells how many entries were removed, or would be.
type BadmailDeleted struct {
	Messages int      `json:"messages"`
	Unknown  []string `json:"unknown,omitempty"` // names that no entry has
}
