package pickup

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// remote are the file systems whose files other machines, or other processes behind them, may write
// without this kernel's knowledge.
var remote = map[uint32]bool{
	unix.NFS_SUPER_MAGIC: true, unix.SMB_SUPER_MAGIC: true, unix.CIFS_SUPER_MAGIC: true, unix.SMB2_SUPER_MAGIC: true,
	unix.CEPH_SUPER_MAGIC: true, unix.FUSE_SUPER_MAGIC: true, unix.V9FS_MAGIC: true, unix.AFS_SUPER_MAGIC: true,
	unix.CODA_SUPER_MAGIC: true, 0x47504653 /* GPFS */ : true, 0x0bd00bd0 /* Lustre */ : true, 0x7461636f /* OCFS2 */ : true, 0x01161970 /* GFS2 */ : true,
}

// renameNew asks the kernel not to replace; a file system that cannot promise it, NFS for one, has link.
func renameNew(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.ENOTSUP) {
		return linkNew(from, to)
	}
	return err
}

// writer asks for a read lease, which the kernel gives only while nobody has the file open for
// writing, and gives it back at once. It takes the owner of the file or CAP_LEASE to ask.
func writer(f *os.File) Writer {
	conn, err := f.SyscallConn()
	if err != nil {
		return WriterUnknown
	}
	answer := WriterUnknown
	err = conn.Control(func(fd uintptr) {
		var st unix.Statfs_t
		if unix.Fstatfs(int(fd), &st) != nil || remote[uint32(st.Type)] {
			return
		}
		_, err := unix.FcntlInt(fd, unix.F_SETLEASE, unix.F_RDLCK)
		switch {
		case err == nil:
			answer = WriterNone
			if _, err := unix.FcntlInt(fd, unix.F_SETLEASE, unix.F_UNLCK); err != nil {
				answer = WriterUnknown // the lease ends when the file is closed
			}
		case errors.Is(err, unix.EAGAIN):
			answer = WriterOpen
		}
	})
	if err != nil {
		return WriterUnknown
	}
	return answer
}
