//go:build unix

package admin

import (
	"fmt"
	"net"
	"os"
	"os/user"
	"slices"
	"strconv"

	"github.com/mailroot/mailroot/internal/control"
)

// actorOf asks the kernel who is at the other end of a control connection: root, the account of
// the service and members of group (of the service's own group for "") are administrators, others are
// refused.
func actorOf(c net.Conn, group string) (control.Actor, error) {
	uc, ok := c.(*net.UnixConn)
	if !ok {
		return control.Actor{}, fmt.Errorf("%w: not a local connection", control.ErrForbidden)
	}
	uid, gid, err := peerIDs(uc)
	if err != nil {
		return control.Actor{}, fmt.Errorf("%w: who is asking cannot be told: %w", control.ErrForbidden, err)
	}
	name := strconv.FormatUint(uint64(uid), 10)
	u, lookupErr := user.LookupId(name)
	if lookupErr == nil {
		name = u.Username
	}
	a := control.Actor{Name: name, Via: "local socket", Role: control.RoleAdministrator}
	if uid == 0 || int(uid) == os.Geteuid() {
		return a, nil
	}
	if want, err := groupID(group); err == nil && (int(gid) == want || lookupErr == nil && inGroup(u, want)) {
		return a, nil
	}
	return control.Actor{}, fmt.Errorf("%w: %s is neither root, nor the account of the service, nor a member of its control group", control.ErrForbidden, name)
}

func inGroup(u *user.User, gid int) bool {
	ids, err := u.GroupIds()
	return err == nil && slices.Contains(ids, strconv.Itoa(gid))
}

// peerIDs returns user and primary group of the process at the other end.
func peerIDs(c *net.UnixConn) (uid, gid uint32, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, 0, err
	}
	if cerr := raw.Control(func(fd uintptr) { uid, gid, err = socketIDs(fd) }); cerr != nil {
		return 0, 0, cerr
	}
	return uid, gid, err
}
