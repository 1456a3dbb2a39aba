package admin

import "golang.org/x/sys/unix"

// socketIDs returns user and primary group of the process at the other end of a Unix socket.
func socketIDs(fd uintptr) (uid, gid uint32, err error) {
	cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return 0, 0, err
	}
	return cred.Uid, cred.Gid, nil
}
