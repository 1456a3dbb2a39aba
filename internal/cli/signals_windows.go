package cli

import "os"

// reloadSignals is empty: Windows has no SIGHUP; see the command reload.
var reloadSignals []os.Signal
