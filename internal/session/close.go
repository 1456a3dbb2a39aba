package session

// CloseReason says why a session ended.
type CloseReason uint8

// The reasons.
const (
	// Open: the session has not ended. Serve never returns it.
	Open CloseReason = iota
	// ClosedByQuit: the client said QUIT.
	ClosedByQuit
	// ClosedByClient: the client hung up without QUIT.
	ClosedByClient
	// ClosedByNetwork: reading or writing failed.
	ClosedByNetwork
	// ClosedIdle: no command within the idle time (421 4.4.2).
	ClosedIdle
	// ClosedSlow: message data came slower than the minimum rate (421 4.4.2).
	ClosedSlow
	// ClosedByShutdown: the context was cancelled (421 4.3.2).
	ClosedByShutdown
	// ClosedByOperator: Session.Terminate was called.
	ClosedByOperator
	// ClosedByPolicy: the client may not connect.
	ClosedByPolicy
	// ClosedEarlyTalker: the client talked before the banner (554 5.5.0).
	ClosedEarlyTalker
	// ClosedOutOfSync: client and server may no longer agree on what is a command and what is
	// data: bare line ends, input where none may be, a malformed BDAT.
	ClosedOutOfSync
	// ClosedByErrors: too many errors, junk commands, refused recipients or tiny chunks
	// (421 4.7.0).
	ClosedByErrors
	// ClosedWrongProtocol: the client speaks HTTP, TLS or SSH.
	ClosedWrongProtocol
	// ClosedBySize: the session size was reached (552 5.3.4).
	ClosedBySize
	// ClosedByTLS: the TLS handshake failed or took too long.
	ClosedByTLS
	// ClosedByPanic: a fault of ours (421 4.3.0).
	ClosedByPanic
)

var closeNames = [...]string{
	Open:                "open",
	ClosedByQuit:        "quit",
	ClosedByClient:      "client hung up",
	ClosedByNetwork:     "network error",
	ClosedIdle:          "idle",
	ClosedSlow:          "too slow",
	ClosedByShutdown:    "shut down",
	ClosedByOperator:    "terminated by an operator",
	ClosedByPolicy:      "not allowed to connect",
	ClosedEarlyTalker:   "talked before the banner",
	ClosedOutOfSync:     "out of synchronisation",
	ClosedByErrors:      "too many errors",
	ClosedWrongProtocol: "not SMTP",
	ClosedBySize:        "session size reached",
	ClosedByTLS:         "TLS handshake failed",
	ClosedByPanic:       "internal fault",
}

// String returns the reason in words for logs.
func (r CloseReason) String() string {
	if int(r) < len(closeNames) {
		return closeNames[r]
	}
	return "unknown"
}
