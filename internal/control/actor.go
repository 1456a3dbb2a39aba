package control

import (
	"errors"
	"fmt"
)

// Role is what an actor may do. Each role may do what the ones before it may.
type Role uint8

// The roles.
const (
	RoleNone          Role = iota
	RoleViewer             // look
	RoleOperator           // look, and handle the queue
	RoleAdministrator      // everything
)

// String returns the name of the role as it stands in logs and messages.
func (r Role) String() string {
	switch r {
	case RoleViewer:
		return "viewer"
	case RoleOperator:
		return "operator"
	case RoleAdministrator:
		return "administrator"
	}
	return "none"
}

// Actor is who asks: every verb takes one, checks its role and names it in the audit record.
type Actor struct {
	Name string // account, for example "root"
	Via  string // the way in, for example "local socket"
	Role Role
}

// String names the actor for the audit record.
func (a Actor) String() string { return a.Name + " (" + a.Via + ")" }

// The ways in which a verb can fail besides an inner error. Surfaces turn them into their own
// codes: exit codes, HTTP statuses.
var (
	ErrForbidden = errors.New("not permitted")
	ErrNotFound  = errors.New("not found")
	ErrInvalid   = errors.New("invalid request")
	ErrBadConfig = errors.New("the configuration file is in error")
)

// allow checks that a has at least the role that verb needs.
func (a Actor) allow(verb string, need Role) error {
	if a.Role >= need {
		return nil
	}
	return fmt.Errorf("%w: %s needs the role %s, and %s has %s", ErrForbidden, verb, need, a.Name, a.Role)
}
