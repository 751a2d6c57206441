package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/runtocompletion/batch"
)

// Variables by which a pod knows what to run.
const (
	envSpec     = "BATCH_CLUSTER_SPEC"
	envPod      = "BATCH_CLUSTER_POD"
	envPodUID   = "BATCH_CLUSTER_POD_UID"
	envJobUID   = "BATCH_CLUSTER_JOB_UID"
	envNS       = "BATCH_CLUSTER_NAMESPACE"
	envFailures = "BATCH_CLUSTER_FAILURES"
	envIgnored  = "BATCH_CLUSTER_IGNORED_FAILURES"
	envIndex    = "JOB_COMPLETION_INDEX"
)

// A podSpec is what all pods of a job run.
type podSpec struct {
	Function    string
	Predicates  map[int]string `json:",omitempty"` // of the rules of the failure policy
	Build       string         `json:",omitempty"` // empty: any
	Checkpoints bool           `json:",omitempty"`
	Job         batch.Job
}

// Main is to be called first in main. In a pod of a job of the [Manager] it runs the one
// attempt that the pod is, and does not return: it ends the process with the attempt's
// exit code. Anywhere else it returns at once.
//
// The log of the pod has what the attempt prints and logs. SIGTERM cancels the attempt,
// with [batch.ErrDeleted].
func Main(functions *Functions) {
	text, ok := os.LookupEnv(envSpec)
	if !ok {
		return
	}
	os.Exit(runPod(text, functions))
}

// terminationLog is where the kubelet reads a pod's termination message.
const terminationLog = "/dev/termination-log"

// runPod runs the pod's attempt, and returns the exit code of the process.
func runPod(text string, functions *Functions) int {
	ctx, stop := signalled()
	defer stop()
	p := &pod{functions: functions, out: os.Stdout}
	code, m := p.run(ctx, text)
	data, err := m.encode()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = exitTooLarge
		data, _ = (&message{V: 1, ExitCode: 1, Error: shorten(err.Error())}).encode() // which is short
	}
	if err := os.WriteFile(terminationLog, data, 0o600); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitBroken
	}
	return code
}

// signalled is a context that SIGTERM cancels.
func signalled() (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	context.AfterFunc(signals, func() { cancel(batch.ErrDeleted) })
	return ctx, stop
}

// A pod runs one attempt.
type pod struct {
	functions *Functions
	spec      podSpec
	out       io.Writer
}

func (p *pod) run(ctx context.Context, text string) (int, message) {
	if code, err := p.prepare(text); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return code, message{V: 1, ExitCode: code, Error: shorten(err.Error())}
	}
	o := p.attempt()
	if p.spec.Checkpoints {
		book, err := openCheckpoints(ctx, os.Getenv(envNS), p.spec.Job.Name, os.Getenv(envJobUID), o.Index)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return exitOther, message{V: 1, ExitCode: 1, Error: shorten(err.Error())} // it may work the next time
		}
		o.Checkpoint, o.SaveCheckpoint = book.load, book.save
	}
	end, err := batch.RunAttempt(ctx, o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitOther, message{V: 1, ExitCode: 1, Error: shorten(err.Error())}
	}
	return p.conclude(ctx, &end)
}

// conclude makes of the end of the attempt that of the pod.
func (p *pod) conclude(ctx context.Context, end *batch.AttemptEnd) (int, message) {
	m := message{V: 1, Output: end.Output, Result: end.Result, Reason: end.Reason}
	if end.ExitCode != nil {
		m.ExitCode = *end.ExitCode
	}
	if end.Phase == batch.AttemptSucceeded {
		if err := p.storeResult(ctx, &m); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return exitOther, message{V: 1, ExitCode: 1, Error: shorten(err.Error())}
		}
		return 0, m
	}
	m.Error, m.Result = end.Message, nil
	if e, ok := errors.AsType[*batch.PanicError](end.Err); ok {
		os.Stderr.Write(e.Stack)
	}
	return exitCodeOf(end, p.spec.Job.FailurePolicy), m
}

// storeResult puts a result that does not fit into the store for such.
func (p *pod) storeResult(ctx context.Context, m *message) error {
	if _, err := m.encode(); err == nil || p.functions.Results == nil || m.Result == nil {
		return nil
	}
	key := os.Getenv(envJobUID) + "/" + os.Getenv(envPodUID)
	if err := p.functions.Results.Put(context.WithoutCancel(ctx), key, m.Result); err != nil {
		return fmt.Errorf("cluster: result of %d bytes: %w", len(m.Result), err)
	}
	m.Result, m.Stored = nil, key
	return nil
}

// prepare finds out what to run. A pod whose program does not fit says so.
func (p *pod) prepare(text string) (int, error) {
	if err := json.Unmarshal([]byte(text), &p.spec); err != nil {
		return exitBroken, fmt.Errorf("cluster: %s: %w", envSpec, err)
	}
	executor := p.functions.Executors[p.spec.Function]
	if executor == nil {
		return exitMissing, fmt.Errorf("cluster: this program has no function %q: it is of another build than the service "+
			"that has created job %q", p.spec.Function, p.spec.Job.Name)
	}
	if p.spec.Build != "" {
		if build, err := Build(); err != nil || build != p.spec.Build {
			return exitBuild, fmt.Errorf("cluster: this program is build %s, and job %q is to run in %s: %w",
				build, p.spec.Job.Name, p.spec.Build, errors.Join(errOtherBuild, err))
		}
	}
	for i, name := range p.spec.Predicates {
		predicate := p.functions.Predicates[name]
		if predicate == nil || i >= len(p.spec.Job.FailurePolicy) {
			return exitMissing, fmt.Errorf("cluster: this program has no predicate %q, which rule %d of job %q needs",
				name, i, p.spec.Job.Name)
		}
		p.spec.Job.FailurePolicy[i].OnError = predicate
	}
	p.spec.Job.Executor, p.spec.Job.ManagedBy = executor, nil
	return 0, nil
}

var errOtherBuild = errors.New("they are different builds")

// attempt says which attempt the pod is.
func (p *pod) attempt() batch.AttemptOptions {
	index, err := strconv.Atoi(os.Getenv(envIndex))
	if err != nil || p.spec.Job.CompletionMode != batch.Indexed {
		index = -1
	}
	failures, _ := strconv.Atoi(os.Getenv(envFailures)) // none without a limit per index
	ignored, _ := strconv.Atoi(os.Getenv(envIgnored))
	uid := os.Getenv(envPodUID)
	return batch.AttemptOptions{
		Job: p.spec.Job, Name: os.Getenv(envPod), UID: uid, Index: index, Number: failures + ignored,
		Token:  fmt.Sprintf("%s/%d/%s", os.Getenv(envJobUID), index, uid),
		Stdout: os.Stdout, Stderr: os.Stderr, Logger: slog.New(slog.DiscardHandler),
		Progress: (&progressLog{out: p.out}).report,
	}
}

// progressMark begins a line of the pod's log that is about progress.
const progressMark = "batch-progress "

// A progressLog prints progress, no more often than anybody can read.
type progressLog struct {
	out io.Writer

	mu   sync.Mutex // guards the field below
	last time.Time
}

func (l *progressLog) report(p batch.Progress) {
	const pause = time.Second
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); now.Sub(l.last) >= pause || p.Total > 0 && p.Done == p.Total {
		l.last = now
		data, _ := json.Marshal(p) // cannot fail
		fmt.Fprintf(l.out, "%s%s\n", progressMark, data)
	}
}

// shorten leaves room in a termination message, in which JSON may double a text.
func shorten(text string) string {
	const most = 1500
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
