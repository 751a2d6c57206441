package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/kube"
)

// functions are what containers of this program run whose image is func/NAME.
func functions() map[string]kube.Function {
	return map[string]kube.Function{
		"pi":    computePi,
		"count": count,
		"flaky": flaky,
	}
}

// number is the only argument of a container.
func number(c kube.Container) (int, error) {
	if len(c.Args) != 1 {
		return 0, fmt.Errorf("container %s has %d args, and needs one: a number", c.Name, len(c.Args))
	}
	n, err := strconv.Atoi(c.Args[0])
	if err != nil || n < 1 || n > 1_000_000 {
		return 0, fmt.Errorf("container %s: %q is not a number from 1 to 1000000", c.Name, c.Args[0])
	}
	return n, nil
}

// computePi prints so many digits of π.
func computePi(ctx context.Context, a batch.Attempt, c kube.Container) error {
	digits, err := number(c)
	if err != nil {
		return err
	}
	text, err := pi(ctx, digits)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(a.Stdout(), text)
	return err
}

// count counts the seconds.
func count(ctx context.Context, a batch.Attempt, c kube.Container) error {
	last, err := number(c)
	if err != nil {
		return err
	}
	for n := 1; n <= last; n++ {
		fmt.Fprintln(a.Stdout(), n)
		a.Progress(int64(n), int64(last), "counting")
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(time.Second):
		}
	}
	return nil
}

// flaky succeeds in every second attempt of its index. Index 2 never does.
func flaky(_ context.Context, a batch.Attempt, _ kube.Container) error {
	if a.Index == 2 || a.Number%2 == 0 {
		fmt.Fprintln(a.Stderr(), "connection reset by peer")
		return errors.New("connection reset by peer")
	}
	fmt.Fprintln(a.Stdout(), "done")
	return nil
}
