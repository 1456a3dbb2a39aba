package smtpclient

import (
	"net"
	"os"
	"syscall"
	"time"
)

const copyPiece = 1 << 20 // octets under one deadline

// copyFile copies n octets of f from off on. It uses sendfile(2) with an offset of its own:
// that of the file is shared with all who read it, so that io.Copy is of no use.
func (c *Conn) copyFile(tcp *net.TCPConn, f *os.File, off, n int64) (done int64, err error) {
	out, err := tcp.SyscallConn()
	if err != nil {
		return 0, nil
	}
	in, err := f.SyscallConn()
	if err != nil {
		return 0, nil
	}
	for done < n && err == nil {
		_ = tcp.SetWriteDeadline(time.Now().Add(c.wait(waitBlock)))
		if c.aborted.Load() {
			return done, errAborted
		}
		piece := min(copyPiece, n-done)
		var sent int64
		sent, err = sendPiece(out, in, off+done, piece)
		done += sent
		if sent == 0 && err == nil {
			return done, nil // the file is shorter than was said, or no sendfile: reading will tell
		}
	}
	return done, err
}

func sendPiece(out, in syscall.RawConn, off, n int64) (sent int64, err error) {
	var failed error
	ctl := in.Control(func(src uintptr) {
		err = out.Write(func(dst uintptr) bool {
			for sent < n {
				m, e := syscall.Sendfile(int(dst), int(src), &off, int(n-sent))
				sent += int64(max(m, 0))
				switch {
				case e == syscall.EINTR:
				case e == syscall.EAGAIN:
					return false
				case (e == syscall.EINVAL || e == syscall.ENOSYS) && sent == 0, e == syscall.EIO:
					return true // a disk that cannot be read is no fault of the connection's
				case e != nil:
					failed = os.NewSyscallError("sendfile", e)
					return true
				case m == 0:
					return true
				}
			}
			return true
		})
	})
	if err == nil {
		err = failed
	}
	if err == nil {
		err = ctl
	}
	return sent, err
}
