// Command pi is the Job of every Kubernetes tutorial, run in this process: Perl
// computes 2000 digits of π, with a back-off limit of 4. Afterwards it shows
// the job as kubectl would:
//
//	kubectl get jobs
//	kubectl describe job pi
//	kubectl get pods
//	kubectl logs job/pi
//
// Run it with
//
//	go run ./examples/pi                # perl -Mbignum=bpi -wle 'print bpi(2000)'
//	go run ./examples/pi -digits 1000
//	go run ./examples/pi -native        # a Go function instead of a program
//
// The Math::BigInt that comes with Perl 5.36 has only the first 1000 digits, and
// fails to compute more, which is why Kubernetes' documentation asks for the image
// perl:5.34.0. The command tries that before it creates the job, and says what is
// missing: a newer Math::BigInt, such as Debian's package libmath-bigint-perl.
//
// The exit code is 0 if the job is Complete and 1 otherwise.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/runtocompletion/batch"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "pi:", err)
		os.Exit(1)
	}
}

// options are what the command line says.
type options struct {
	digits  int
	native  bool
	backoff time.Duration
}

func parseOptions(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("pi", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&o.digits, "digits", 2000, "how many `digits` to compute")
	flags.BoolVar(&o.native, "native", false, "compute in a Go function instead of perl")
	flags.DurationVar(&o.backoff, "backoff", 10*time.Second, "`delay` before the first retry; it doubles up to 10m")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.digits < 1 {
		return o, fmt.Errorf("-digits %d: must be at least 1", o.digits)
	}
	return o, nil
}

// run creates the job, waits for it and shows it. Its error is that of the job.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	o, err := parseOptions(args, stderr)
	if err != nil {
		return err
	}
	if !o.native {
		if err := checkPerl(ctx, o.digits); err != nil {
			return err
		}
	}

	c, err := batch.New(ctx, batch.Options{})
	if err != nil {
		return err
	}
	// If ctx has ended, Shutdown stops what still runs and waits for it.
	defer func() { err = errors.Join(err, c.Shutdown(ctx)) }()

	job := o.job()
	if err := c.Create(ctx, job); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "job.batch/%s created\n", job.Name)
	_, failure := wait(ctx, c, job.Name, stderr)
	if ctx.Err() != nil {
		return failure // there is no result to show
	}
	if err := show(ctx, c, job.Name, stdout); err != nil {
		return err
	}
	return failure
}

// job is the Job of https://kubernetes.io/docs/concepts/workloads/controllers/job.
func (o options) job() batch.Job {
	return batch.Job{
		Name:          "pi",
		ContainerName: "pi",
		RestartPolicy: batch.RestartNever,
		BackoffLimit:  new(4),
		Backoff:       batch.ExponentialBackoff(o.backoff, 10*time.Minute, 0),
		LogLimit:      new(64<<10 + o.digits), // all digits are on one line
		Executor:      o.executor(),
	}
}

func (o options) executor() batch.Executor {
	if o.native {
		return batch.ExecutorFunc(o.compute)
	}
	return batch.Command{Args: perl(o.digits)}
}

// perl is the command of Kubernetes' documentation.
func perl(digits int) []string {
	return []string{"perl", "-Mbignum=bpi", "-wle", "print bpi(" + strconv.Itoa(digits) + ")"}
}

// compute is the executor of -native.
func (o options) compute(ctx context.Context, a batch.Attempt) error {
	digits, err := pi(ctx, o.digits)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(a.Stdout(), digits)
	return err
}

// tableSize is how many digits Math::BigFloat has in a table.
const tableSize = 1000

// checkPerl finds out before the job does whether there is a Perl to run. Some
// systems have one without its library, or with one that can look digits up and
// cannot compute them.
func checkPerl(ctx context.Context, digits int) error {
	probe := perl(min(digits, tableSize+1))
	var printed strings.Builder
	cmd := exec.CommandContext(ctx, probe[0], probe[1:]...)
	cmd.Stderr = &printed
	err := cmd.Run()
	switch {
	case err == nil || ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, exec.ErrNotFound):
		return errors.New("there is no perl on this machine: install it, or compute the digits in Go with -native")
	case digits > tableSize:
		return fmt.Errorf("perl cannot compute more than %d digits (%w): %s\n"+
			"install a newer Math::BigInt (on Debian and Ubuntu: libmath-bigint-perl), or try -digits %d, or -native",
			tableSize, err, lastLine(printed.String()), tableSize)
	}
	return fmt.Errorf("perl cannot use its module bignum (%w): %s\ninstall it, or compute the digits in Go with -native",
		err, lastLine(printed.String()))
}

func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return text[strings.LastIndexByte(text, '\n')+1:]
}

// wait waits for the job and says on stderr what it waits for when an attempt
// has failed, and what the attempt said last.
func wait(ctx context.Context, c *batch.Controller, name string, stderr io.Writer) (batch.Status, error) {
	var retry time.Time
	for change, err := range c.Watch(ctx, 0) {
		if err != nil || change.Status.Finished() {
			break // Wait knows more
		}
		if next := change.Status.NextRetry; !next.IsZero() && !next.Equal(retry) {
			retry = next
			fmt.Fprintln(stderr, change.Status.Explain())
			fmt.Fprintln(stderr, "it printed:", lastWords(ctx, c, name))
		}
	}
	status, err := c.Wait(ctx, name)
	if failure, ok := errors.AsType[*batch.JobError](err); ok {
		err = fmt.Errorf("%w\nthe last attempt printed: %s", failure, lastWords(ctx, c, name))
	}
	return status, err
}

// lastWords is the last line that the latest attempt that has failed printed.
func lastWords(ctx context.Context, c *batch.Controller, name string) string {
	attempts, err := c.Attempts(ctx, name)
	if err != nil {
		return err.Error()
	}
	last := "nothing"
	for _, a := range slices.Backward(attempts) {
		if a.Phase != batch.AttemptFailed {
			continue
		}
		for line, err := range c.Logs(ctx, name, a.Name, -1, false) {
			if err != nil {
				return err.Error()
			}
			last = line.Text
		}
		break
	}
	return last
}
