package mail

import "errors"

// Error is a failure that can reach a peer. Reply is what the peer is told, Err the cause,
// which is for logs and never for the wire. Packages return (or wrap) it instead of logging;
// session renders it once, delivery turns it into a Result.
type Error struct {
	Reply Reply
	Err   error
}

// Fail makes an Error.
func Fail(code int, enhanced EnhancedCode, text string, cause error) *Error {
	return &Error{Reply: NewReply(code, enhanced, text), Err: cause}
}

// Error returns the reply and the cause.
func (e *Error) Error() string {
	if e.Err == nil {
		return e.Reply.String()
	}
	return e.Reply.String() + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Permanent reports whether trying again is of no use.
func (e *Error) Permanent() bool { return e.Reply.Permanent() }

// ErrUnknownOutcome is wrapped by a commit that neither succeeded nor surely failed: the
// message may be in the spool. The client is told 451 and will send it again.
var ErrUnknownOutcome = errors.New("the outcome of the commit is unknown")

// ReplyOf returns the reply that err carries, or 451 4.3.0 for any other error.
func ReplyOf(err error) Reply {
	var e *Error
	if errors.As(err, &e) {
		return e.Reply
	}
	return NewReply(451, Enhanced(4, 3, 0), "Requested action aborted: local error in processing")
}

// LocalReply returns the reply that err carries, or 451 4.3.0, in words for a message that waits: with the
// innermost cause, for the operator, and without a path or a name of a file, since it may get into a report.
func LocalReply(err error) Reply {
	r := ReplyOf(err)
	for cause := err; cause != nil; cause = errors.Unwrap(cause) {
		err = cause
	}
	if _, told := err.(*Error); told || r.Permanent() {
		return r
	}
	return NewReply(r.Code, r.Enhanced, "The message could not be read from the queue: "+err.Error())
}

// Decision is the answer to a question of policy. Reason is for the log and the
// administrator; only Reply goes to the peer.
type Decision struct {
	Allow  bool
	Reply  Reply  // set when Allow is false
	Reason string // for example "the client is in the relay list (10.0.0.0/8)"
}
