package session

import "sync"

// The sizes of read buffers. A session that waits for a command has a small one; a group of
// pipelined commands moves it to a middle one, message data to a large one.
const (
	smallBuffer  = 512
	middleBuffer = 4 << 10
	largeBuffer  = 64 << 10

	outBuffer = 2 << 10
)

// The pools hold no state, only memory.
var (
	smallPool  = sync.Pool{New: func() any { return new([smallBuffer]byte) }}
	middlePool = sync.Pool{New: func() any { return new([middleBuffer]byte) }}
	largePool  = sync.Pool{New: func() any { return new([largeBuffer]byte) }}
	outPool    = sync.Pool{New: func() any { return new([outBuffer]byte) }}
)

func getBuffer(size int) []byte {
	switch size {
	case smallBuffer:
		return smallPool.Get().(*[smallBuffer]byte)[:]
	case middleBuffer:
		return middlePool.Get().(*[middleBuffer]byte)[:]
	}
	return largePool.Get().(*[largeBuffer]byte)[:]
}

func putBuffer(b []byte) {
	switch len(b) {
	case smallBuffer:
		smallPool.Put((*[smallBuffer]byte)(b))
	case middleBuffer:
		middlePool.Put((*[middleBuffer]byte)(b))
	case largeBuffer:
		largePool.Put((*[largeBuffer]byte)(b))
	}
}

func nextBuffer(size int) int {
	if size < middleBuffer {
		return middleBuffer
	}
	return largeBuffer
}

func getOut() []byte { return outPool.Get().(*[outBuffer]byte)[:0] }

// putOut takes back a buffer of getOut; one that append has replaced is left to the collector.
func putOut(b []byte) {
	if cap(b) == outBuffer {
		outPool.Put((*[outBuffer]byte)(b[:outBuffer]))
	}
}
