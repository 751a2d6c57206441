// Command kubectl lets the stock kubectl work on jobs that run in this process:
// no cluster, and no server but this program.
//
//	go run ./examples/kubectl
//
// starts the jobs of testdata/manifests, among them the pi Job of Kubernetes'
// guide, and one written in Go. It prints the export KUBECONFIG=... line for
// another terminal, and commands to try there. Clients may do everything with
// jobs whose containers are functions of this program (func/pi, func/count and
// func/flaky); to create jobs that run programs of this machine they need
//
//	go run ./examples/kubectl -commands
//
// With -f it serves nobody: it runs the Jobs of a manifest to their end.
//
//	go run ./examples/kubectl -f examples/kubectl/testdata/manifests/pi.yaml
//	go run ./examples/kubectl -f folder
//	generate | go run ./examples/kubectl -f -
//
// Containers are programs of this machine then, or functions. What they print
// goes to the standard output, and their standard error and all that is said
// about the jobs to the standard error. The exit code is 0 if all jobs are
// Complete and 1 otherwise.
//
// With -store FILE the jobs are kept in a file: when the program is started again
// with it, they go on, those that clients have created and those of -f. FILE.credentials
// then keeps what lets clients in: with an -addr they need no new kubeconfig.
//
// It is a module of its own, since Kubernetes' types are not needed to use
// package batch.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "kubectl:", err)
		os.Exit(1)
	}
}

// options are what the command line says.
type options struct {
	file       string
	addr       string
	kubeconfig string
	commands   bool
	store      string
}

const usage = `Usage:
  kubectl [-addr HOST:PORT] [-kubeconfig FILE] [-commands] [-store FILE]
        serve jobs to the real kubectl until Ctrl-C
  kubectl -f FILE [-store FILE]
        run the Jobs of a manifest; exit with 0 if all of them complete, else with 1

Flags:
`

func parseOptions(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("kubectl", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.file, "f", "", "run the Jobs of this `file` or folder, or of the standard input (-), and exit")
	flags.StringVar(
		&o.addr, "addr", "127.0.0.1:0", "`address` to serve at, of this machine only; port 0 is any that is free",
	)
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "`file` to write for kubectl; empty means one in a temporary folder")
	flags.BoolVar(&o.commands, "commands", false, "let clients create jobs that run programs of this machine")
	flags.StringVar(
		&o.store, "store", "", "`file` to keep the jobs in, from where they go on the next time; empty means none",
	)
	flags.Usage = func() {
		fmt.Fprint(stderr, usage)
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q: see -h", flags.Arg(0))
	}
	return o, nil
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	o, err := parseOptions(args, stderr)
	if err != nil {
		return err
	}
	if o.file != "" {
		return runFile(ctx, o, stdin, stdout, stderr)
	}
	return serve(ctx, o, stdout, stderr)
}
