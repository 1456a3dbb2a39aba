// Command mailroot is the mail relay Mailroot: service and command line in one program. All of it
// is in internal/cli; this file hands over the arguments, the standard streams and the signals.
package main

import (
	"context"
	"os"

	"github.com/mailroot/mailroot/internal/cli"
)

func main() {
	os.Exit(run())
}

func run() int {
	ctx, stop := cli.UntilSignal(context.Background())
	defer stop()
	return cli.Main(ctx, os.Args[1:], cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
}
