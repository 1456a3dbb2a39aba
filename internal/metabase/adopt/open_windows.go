package adopt

import (
	"io/fs"
	"os"
)

// open opens a file that was seen to be one.
func open(path string) (*os.File, error) { return os.Open(path) }

// links is not told by what a look at a name tells here.
func links(fs.FileInfo) int { return 0 }
