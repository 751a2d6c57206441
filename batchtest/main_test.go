package batchtest_test

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// A fakeTB is a test that is watched as it fails.
type fakeTB struct {
	testing.TB
	failures []string
	cleanups []func()
	ctx      context.Context
	log      strings.Builder
}

func (t *fakeTB) Helper()                   {}
func (t *fakeTB) Context() context.Context  { return t.ctx }
func (t *fakeTB) Cleanup(f func())          { t.cleanups = append(t.cleanups, f) }
func (t *fakeTB) Output() io.Writer         { return &t.log }
func (t *fakeTB) Errorf(f string, a ...any) { t.failures = append(t.failures, fmt.Sprintf(f, a...)) }
func (t *fakeTB) Fatalf(f string, a ...any) { t.Errorf(f, a...); runtime.Goexit() }
func (t *fakeTB) failure() string           { return strings.Join(t.failures, "\n---\n") }
func (t *fakeTB) lines() []string           { return strings.Split(t.failure(), "\n") }

// end does what the end of a test does.
func (t *fakeTB) end() {
	for _, f := range slices.Backward(t.cleanups) {
		f()
	}
}

// failing runs a test to its end, and returns how it went.
func failing(test func(t testing.TB)) *fakeTB {
	ctx, cancel := context.WithCancel(context.Background())
	t := &fakeTB{ctx: ctx}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer t.end()
		defer cancel()
		test(t)
	}()
	<-done
	return t
}
