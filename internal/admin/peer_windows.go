package admin

import (
	"net"

	"github.com/mailroot/mailroot/internal/control"
)

// actorOf names the client of a pipe connection. Whoever passes the access list of the pipe is an
// administrator.
func actorOf(net.Conn, string) (control.Actor, error) {
	return control.Actor{Name: "administrator", Via: "local pipe", Role: control.RoleAdministrator}, nil
}
