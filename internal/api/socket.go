package api

import "errors"

// ErrNotRunning is returned when nothing answers at the control socket.
var ErrNotRunning = errors.New("the service is not running")

// ErrNoAccess is returned when the control socket exists but may not be opened by this account.
var ErrNoAccess = errors.New("this account may not use the control socket: be root, the account of the service, or a member of its control group")
