package control

import (
	"time"

	"github.com/mailroot/mailroot/internal/config"
)

// Status is the answer to "is it well?".
type Status struct {
	Version        string         `json:"version"`
	PID            int            `json:"pid"`
	Since          time.Time      `json:"since"`
	Config         string         `json:"config"` // path of the configuration file
	Warnings       []string       `json:"warnings,omitempty"`
	Memory         MemoryStatus   `json:"memory"`
	VirtualServers []ServerStatus `json:"virtual_servers"`
}

// MemoryStatus is the memory of the process.
type MemoryStatus struct {
	Used     int64     `json:"used"`               // octets, garbage aside
	Limit    int64     `json:"limit"`              // 0: none
	Refusing string    `json:"refusing,omitempty"` // what is refused for it: "mail", or "mail and connections"
	Since    time.Time `json:"since,omitzero"`     // since when
	Refused  uint64    `json:"refused"`            // messages, since the start
}

// ServerStatus is the state of one virtual server.
type ServerStatus struct {
	Name          string          `json:"name"`
	Description   string          `json:"description"`
	FQDN          string          `json:"fqdn"`
	DefaultDomain string          `json:"default_domain"`
	Bindings      []BindingStatus `json:"bindings"`
	Inbound       InboundStatus   `json:"inbound"`
	Pickup        PickupStatus    `json:"pickup"`
	Queue         QueueStatus     `json:"queue"`
	Reports       ReportStatus    `json:"reports"`
	Spool         SpoolStatus     `json:"spool"`
	Log           LogStatus       `json:"log"`
	NextHops      []HopStatus     `json:"next_hops,omitempty"`
	Badmail       BadmailStatus   `json:"badmail"`
	Folders       FolderStatus    `json:"folders"`
	Frozen        []Frozen        `json:"frozen,omitempty"` // destinations
}

// BindingStatus is one address that is listened on.
type BindingStatus struct {
	Address string `json:"address"`
	TLS     string `json:"tls"`            // none, starttls, implicit
	Note    string `json:"note,omitempty"` // why STARTTLS is not offered
}

// InboundStatus counts client connections and what came in.
type InboundStatus struct {
	Connections int    `json:"connections"`
	Limit       int    `json:"limit"` // in force: also for want of open files; 0: none
	Accepted    uint64 `json:"accepted"`
	Refused     uint64 `json:"refused"` // over a limit
	Messages    uint64 `json:"messages"`

	RefusedAddress   uint64 `json:"refused_address"`   // of refused: over the limit of an address
	RefusedNetwork   uint64 `json:"refused_network"`   // of refused: over the limit of a network
	RefusedMemory    uint64 `json:"refused_memory"`    // of refused: for want of memory
	Denied           uint64 `json:"denied"`            // connections, by connection control
	RelayRefused     uint64 `json:"relay_refused"`     // recipients
	TLSFailures      uint64 `json:"tls_failures"`      // handshakes
	SessionSizeMet   uint64 `json:"session_size_met"`  // connections that ended by it
	RepairedMessages uint64 `json:"repaired_messages"` // with line ends that were made CRLF
	RepairedLineEnds uint64 `json:"repaired_line_ends"`
}

// PickupStatus is the state of the pickup folder.
type PickupStatus struct {
	Waiting  int      `json:"waiting"`        // files that are not taken yet
	InFlight int      `json:"in_flight"`      // being read
	Skipped  int      `json:"skipped"`        // links, folders and so on, left alone
	Messages uint64   `json:"messages"`       // taken since the start
	Badmail  uint64   `json:"badmail"`        // files that went to Badmail since the start
	Late     []string `json:"late,omitempty"` // files that have waited for an hour or cannot be read, and why; at most 10
	Error    string   `json:"error,omitempty"`
}

// QueueStatus counts what waits and what has left since the start.
type QueueStatus struct {
	Messages   int       `json:"messages"`
	Recipients int       `json:"recipients"`
	Ready      int       `json:"ready"`
	Deferred   int       `json:"deferred"`
	Held       int       `json:"held"`
	Frozen     int       `json:"frozen"` // whose destination is frozen
	InFlight   int       `json:"in_flight"`
	Oldest     time.Time `json:"oldest,omitzero"`
	Loading    bool      `json:"loading"` // still reading what waited at the start
	Delivered  uint64    `json:"delivered"`
	Failed     uint64    `json:"failed"`
	Deferrals  uint64    `json:"deferrals"`
}

// ReportStatus counts the reports that were made since the start, by kind.
type ReportStatus struct {
	Failure uint64 `json:"failure"`
	Delay   uint64 `json:"delay"`
	Success uint64 `json:"success"`
	Relayed uint64 `json:"relayed"`
	// Badmail counts the messages that could neither be delivered nor reported on to a sender.
	Badmail uint64 `json:"badmail"`
}

// SpoolStatus is the state of the store.
type SpoolStatus struct {
	Octets      int64 `json:"octets"` // on disk
	Segments    int   `json:"segments"`
	Spares      int   `json:"spares"`               // emptied segments that wait to be written over
	SpareOctets int64 `json:"spare_octets"`         // of octets
	Quarantined int   `json:"quarantined"`          // damaged parts in quarantine
	Lost        int64 `json:"lost"`                 // messages that could not be recovered, since the start
	Unread      int64 `json:"unread"`               // files that the start could not read
	Torn        int64 `json:"torn"`                 // ends of files that the start cut off, as never written whole
	LowSpace    bool  `json:"low_space,omitempty"`  // of the disk: new mail is refused with 452
	LowMemory   bool  `json:"low_memory,omitempty"` // of messages coming in: likewise

	Refused         int64     `json:"refused"`                 // messages, for a reason of the store, since the start
	Refusing        string    `json:"refusing,omitempty"`      // why messages are refused at present
	RefusingSince   time.Time `json:"refusing_since,omitzero"` // since when
	ReadErrors      int64     `json:"read_errors"`             // reads of messages that failed, other than for damage, since the start
	Unreadable      string    `json:"unreadable,omitempty"`    // why messages cannot be read at present
	UnreadableSince time.Time `json:"unreadable_since,omitzero"`
	// DeliveryWaits is why nothing is delivered at present, "": it is: what becomes of mail cannot be written down, mostly since the disk of the queue is full.
	DeliveryWaits      string    `json:"delivery_waits,omitempty"`
	DeliveryWaitsSince time.Time `json:"delivery_waits_since,omitzero"`
	Error              string    `json:"error,omitempty"` // the last one, also if it did no harm
	ErrorAt            time.Time `json:"error_at,omitzero"`
	// Notes is what was found wrong since the start, the first ten, what a crash has left behind the rest; MoreNotes counts the others.
	Notes     []string `json:"notes,omitempty"`
	MoreNotes int64    `json:"more_notes,omitempty"`
}

// LogStatus is the state of the transaction log.
type LogStatus struct {
	Enabled bool   `json:"enabled"`
	File    string `json:"file,omitempty"`
	Dropped uint64 `json:"dropped"` // rows lost because the disk was too slow or full
	Error   string `json:"error,omitempty"`
}

// FolderStatus names the folders in use.
type FolderStatus struct {
	Pickup  string `json:"pickup"`
	Queue   string `json:"queue"`
	Drop    string `json:"drop"`
	Badmail string `json:"badmail"`
	Logs    string `json:"logs"`
}

// HopStatus is one next hop with mail, or one that is in use.
type HopStatus struct {
	Name      string    `json:"name"`
	Ready     int       `json:"ready"`
	Deferred  int       `json:"deferred"`
	Held      int       `json:"held"`
	Frozen    int       `json:"frozen"`
	Active    int       `json:"active"` // connections
	Down      bool      `json:"down"`
	LastError string    `json:"last_error,omitempty"`
	NextTry   time.Time `json:"next_try,omitzero"`
}

// QueueQuery says which queued messages to list. Empty fields match everything; texts match
// without regard to case, domains as a whole, addresses as a part.
type QueueQuery struct {
	Selection
	Limit  int    `json:"limit,omitempty"`  // at most, 1 to 1000; 0 stands for 100
	Cursor string `json:"cursor,omitempty"` // Next of the page before
}

// QueuePage is one page of the queue, newest first.
type QueuePage struct {
	Messages []QueueEntry `json:"messages"`
	Next     string       `json:"next,omitempty"` // "" on the last page
}

// QueueEntry is one line of the queue.
type QueueEntry struct {
	ID         string    `json:"id"`
	Arrived    time.Time `json:"arrived"`
	Size       int64     `json:"size"`
	Sender     string    `json:"sender"` // "<>" for the null reverse-path
	Subject    string    `json:"subject,omitempty"`
	MessageID  string    `json:"message_id,omitempty"`
	Recipients []string  `json:"recipients"` // those that still wait, at most 10
	Waiting    int       `json:"waiting"`    // how many wait in all
	Status     string    `json:"status"`
	NextHop    string    `json:"next_hop,omitempty"`  // of the first that waits
	NextHops   int       `json:"next_hops,omitempty"` // how many different ones
}

// QueueMessage is all that is known of one queued message.
type QueueMessage struct {
	QueueEntry
	Client     string           `json:"client,omitempty"`
	Helo       string           `json:"helo,omitempty"`
	Protocol   string           `json:"protocol,omitempty"`
	Hops       int              `json:"hops"`
	Original   string           `json:"original,omitempty"` // the message this one reports on
	Deliveries []QueueRecipient `json:"deliveries"`
}

// QueueRecipient is the state of one recipient, and why it is so.
type QueueRecipient struct {
	Address  string    `json:"address"`
	Status   string    `json:"status"`
	NextHop  string    `json:"next_hop,omitempty"`
	Route    string    `json:"route,omitempty"` // the next hop that an operator has set
	Attempts int       `json:"attempts"`
	Due      time.Time `json:"due,omitzero"`
	Reply    string    `json:"reply,omitempty"` // the last one
	Host     string    `json:"host,omitempty"`  // who gave it
	Reason   string    `json:"reason"`          // why it is where it is
}

// ReloadResult tells what a new configuration changed.
type ReloadResult struct {
	Changes []config.Change `json:"changes"`
	// Certificates is set when another certificate is in use than before.
	Certificates bool     `json:"certificates,omitempty"`
	Warnings     []string `json:"warnings,omitempty"`
}

// TestMessage asks for a test message to be sent through the service.
type TestMessage struct {
	From    string `json:"from"` // empty: postmaster of the default domain
	To      string `json:"to"`
	Subject string `json:"subject,omitempty"`
}

// TestSent is the dialog of a test message.
type TestSent struct {
	MessageID string   `json:"message_id"`
	Dialog    []string `json:"dialog"` // "> " what was sent, "< " the replies
	Result    string   `json:"result"`
	OK        bool     `json:"ok"`
}

// RouteAnswer explains where mail for an address would go.
type RouteAnswer struct {
	Address string   `json:"address"`
	NextHop string   `json:"next_hop,omitempty"`
	Steps   []string `json:"steps"`
	Error   string   `json:"error,omitempty"`
	Outcome string   `json:"outcome,omitempty"` // with Error: what becomes of a message
}
