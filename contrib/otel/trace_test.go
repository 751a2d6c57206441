package otel_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
	"github.com/runtocompletion/batch/contrib/otel"
)

func TestSpansNest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, batch.Options{}, otel.Options{Namespace: "ns"})
		ctx, request := l.tracer.Start(t.Context(), "request")
		require.NoError(t, l.telemetry.Create(ctx, batch.Job{
			Name: "j", CompletionMode: batch.Indexed, Completions: new(2), Annotations: map[string]string{"a": "b"},
			Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
				_, query := l.tracer.Start(ctx, "query")
				defer query.End()
				found, ok := batch.AttemptFrom(ctx)
				require.True(t, ok)
				require.Equal(t, a.UID(), found.UID())
				time.Sleep(time.Minute)
				return nil
			}),
		}))
		request.End()
		_, err := l.Wait(t.Context(), "j")
		require.NoError(t, err)
		l.finish()
		require.Equal(t, ""+
			"request\n"+
			"  job name=j name=ns completions=2 state=Complete succeeded=2\n"+
			"    attempt name=j name=ns index=0 number=0 outcome=succeeded code=0\n"+
			"      query\n"+
			"    attempt name=j name=ns index=1 number=0 outcome=succeeded code=0\n"+
			"      query\n",
			l.tree("k8s.job.name", "k8s.namespace.name", "batch.job.completions", "batch.job.state", "batch.job.succeeded",
				"batch.attempt.index", "batch.attempt.number", "batch.attempt.outcome", "process.exit.code"))
		job := l.one("batch.job")
		require.Equal(t, 2*time.Minute, job.EndTime().Sub(job.StartTime()))
		require.Equal(t, codes.Unset, job.Status().Code)
	})
}

func TestRetriesAreLinked(t *testing.T) {
	failsOnce := batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
		if a.Number == 0 && a.Restarts == 0 || a.Index == 1 && a.Number < 2 {
			return batchtest.ErrFailed
		}
		return nil
	})
	for name, c := range map[string]struct {
		job  batch.Job
		want string
	}{
		"of an index": {
			job: batch.Job{CompletionMode: batch.Indexed, Completions: new(2), Backoff: batch.ConstantBackoff(time.Second)},
			want: "job succeeded=2 failed=3\n" +
				"  attempt index=0 number=0 restarts=0 outcome=failed (exception)\n" +
				"  attempt index=0 number=1 restarts=0 outcome=succeeded retry of 0\n" +
				"  attempt index=1 number=0 restarts=0 outcome=failed (exception)\n" +
				"  attempt index=1 number=1 restarts=0 outcome=failed retry of 0 (exception)\n" +
				"  attempt index=1 number=2 restarts=0 outcome=succeeded retry of 1\n",
		},
		"of a job without indexes": {
			job: batch.Job{Completions: new(2)},
			want: "job succeeded=2 failed=1\n" +
				"  attempt number=0 restarts=0 outcome=failed (exception)\n" +
				"  attempt number=1 restarts=0 outcome=succeeded retry of 0\n" +
				"  attempt number=2 restarts=0 outcome=succeeded\n",
		},
		"in place": {
			job: batch.Job{Completions: new(2), RestartPolicy: batch.RestartOnFailure,
				RestartBackoff: batch.ConstantBackoff(time.Second)},
			want: "job succeeded=2 failed=0\n" +
				"  attempt number=0 restarts=0 outcome=failed (exception)\n" +
				"  attempt number=0 restarts=1 outcome=succeeded restart of 0\n" +
				"  attempt number=1 restarts=0 outcome=succeeded\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, batch.Options{}, otel.Options{})
				c.job.Name, c.job.Executor = "j", batchtest.Call(func(ctx context.Context, a batch.Attempt) error {
					time.Sleep(time.Millisecond)
					return failsOnce(ctx, a)
				})
				l.create(c.job)
				_, err := l.Wait(t.Context(), "j")
				require.NoError(t, err)
				l.finish()
				require.Equal(t, c.want, l.tree("batch.job.succeeded", "batch.job.failed", "batch.attempt.index",
					"batch.attempt.number", "batch.attempt.restarts", "batch.attempt.outcome"))
			})
		})
	}
}

// An endCase is a job, what is done to it, and the spans that come of it.
type endCase struct {
	job  batch.Job
	act  func(*lab) // after a second
	want string
}

var endCases = map[string]endCase{
	"an exit code": {
		job: batch.Job{BackoffLimit: new(0), Executor: batchtest.Exit(7)},
		want: "job state=Failed reason=BackoffLimitExceeded type=BackoffLimitExceeded\n" +
			"  attempt outcome=failed code=7 type=batchtest.exitError (exception)\n",
	},
	"a timeout, whatever is returned": {
		job: batch.Job{BackoffLimit: new(0), AttemptTimeout: new(time.Minute), Executor: batch.ExecutorFunc(
			func(ctx context.Context, _ batch.Attempt) error { <-ctx.Done(); return nil })},
		want: "job state=Failed reason=BackoffLimitExceeded type=BackoffLimitExceeded\n" +
			"  attempt outcome=timed_out code=0 type=timed_out (attempt.stopped) (exception)\n",
	},
	"an eviction": {
		job: batch.Job{BackoffLimit: new(0), Executor: batchtest.Hang()},
		act: func(l *lab) {
			attempts, err := l.Attempts(context.Background(), "j")
			require.NoError(l, err)
			require.NoError(l, l.Disrupt(l.Context(), "j", attempts[0].Name, "EvictionByEvictionAPI"))
		},
		want: "job state=Failed reason=BackoffLimitExceeded type=BackoffLimitExceeded\n" +
			"  attempt outcome=disrupted code=1 type=disrupted (attempt.stopped) (exception)\n",
	},
	"a deletion": {
		job: batch.Job{Executor: batchtest.Hang()},
		act: func(l *lab) { require.NoError(l, l.Delete(l.Context(), "j", batch.DeleteBackground)) },
		want: "job state=Terminating (job.deleted)\n" +
			"  attempt outcome=stopped code=1 type=stopped (attempt.stopped) (exception)\n",
	},
	"the end of the process": {
		job: batch.Job{Executor: batchtest.Hang()},
		act: (*lab).finish,
		want: "job state=Running (process.stopped)\n" +
			"  attempt outcome=stopped code=1 type=stopped (attempt.stopped) (exception)\n",
	},
	"nothing, but it has left an output": {
		job: batch.Job{Executor: batchtest.Do(batchtest.Output("42 rows"), batchtest.Succeed())},
		want: "job state=Complete (attempt.output)\n" +
			"  attempt outcome=succeeded code=0\n",
	},
}

func TestWhatEndsAnAttempt(t *testing.T) {
	for name, c := range endCases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, batch.Options{}, otel.Options{})
				c.job.Name = "j"
				l.create(c.job)
				time.Sleep(time.Second)
				if c.act != nil {
					c.act(l)
				}
				time.Sleep(time.Hour / 2)
				l.finish()
				require.Equal(t, c.want, l.tree("batch.job.state", "batch.job.reason", "batch.attempt.outcome",
					"process.exit.code", "error.type"))
			})
		})
	}
}

func TestOutputsAreEventsOfTheJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, batch.Options{}, otel.Options{})
		l.create(batch.Job{Name: "j", CompletionMode: batch.Indexed, Completions: new(200), History: new(150),
			Executor: batchtest.Do(batchtest.Output("row"), batchtest.Succeed())})
		_, err := l.Wait(t.Context(), "j")
		require.NoError(t, err)
		l.finish()
		events := l.one("batch.job").Events()
		require.Len(t, events, 100)
		index, ok := attributeOf(events[99].Attributes, "batch.attempt.index")
		require.True(t, ok)
		require.Equal(t, int64(199), index.AsInt64())
		output, _ := attributeOf(events[99].Attributes, "batch.attempt.output")
		require.Equal(t, "row", output.AsString())
	})
}

func TestAPanicKeepsItsValueAndItsStack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, batch.Options{}, otel.Options{})
		l.create(batch.Job{Name: "j", BackoffLimit: new(0), Executor: batch.ExecutorFunc(explode)})
		_, err := l.Wait(t.Context(), "j")
		panicked, ok := errors.AsType[*batch.PanicError](err)
		require.True(t, ok)
		require.Equal(t, "boom", panicked.Value)
		require.Contains(t, string(panicked.Stack), "otel_test.explode")

		time.Sleep(time.Second)
		l.create(batch.Job{Name: "exit", BackoffLimit: new(0), Executor: batchtest.Goexit()})
		_, err = l.Wait(t.Context(), "exit")
		panicked, ok = errors.AsType[*batch.PanicError](err)
		require.True(t, ok)
		require.Nil(t, panicked.Value)
		l.finish()
		require.Equal(t, ""+
			"job name=j type=BackoffLimitExceeded\n"+
			"  attempt name=j outcome=panicked code=2 type=panicked (exception)\n"+
			"job name=exit type=BackoffLimitExceeded\n"+
			"  attempt name=exit outcome=panicked code=2 type=panicked (exception)\n",
			l.tree("k8s.job.name", "batch.attempt.outcome", "process.exit.code", "error.type"))
		for _, s := range l.spans.Ended() {
			if s.Name() == "batch.attempt" {
				stack, ok := attributeOf(s.Events()[0].Attributes, "exception.stacktrace")
				require.True(t, ok)
				require.Contains(t, stack.AsString(), "Execute")
				require.Equal(t, codes.Error, s.Status().Code)
			}
		}
	})
}

func explode(context.Context, batch.Attempt) error { panic("boom") }

func TestTheParentSurvivesARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(batchtest.MemoryStore)
		job := batch.Job{Name: "j", Completions: new(2), Executor: batchtest.Take(time.Hour)}
		before := newLab(t, batch.Options{Store: store}, otel.Options{})
		ctx, request := before.tracer.Start(t.Context(), "request")
		_, err := before.telemetry.Apply(ctx, job)
		require.NoError(t, err)
		time.Sleep(90 * time.Minute)
		before.finish()
		require.Equal(t, "job state=Running (process.stopped)\n"+
			"  attempt outcome=succeeded\n  attempt outcome=stopped (attempt.stopped) (exception)\n",
			before.tree("batch.job.state", "batch.job.resumed", "batch.attempt.outcome"))

		time.Sleep(time.Minute)
		after := newLab(t, batch.Options{Store: store}, otel.Options{})
		time.Sleep(time.Minute)
		ctx, startup := after.tracer.Start(t.Context(), "startup")
		for range 2 { // the second one changes nothing
			_, err = after.telemetry.Apply(ctx, job)
			require.NoError(t, err)
		}
		_, err = after.Wait(ctx, "j")
		require.NoError(t, err)
		after.finish()
		startup.End()
		require.Equal(t, "job resumed=true state=Complete\n  attempt outcome=succeeded\nstartup\n",
			after.tree("batch.job.resumed", "batch.job.state", "batch.attempt.outcome"))
		for _, span := range after.spans.Ended() {
			if span.Name() == "batch.job" {
				require.Equal(t, request.SpanContext().SpanID(), span.Parent().SpanID())
				require.Equal(t, request.SpanContext().TraceID(), span.SpanContext().TraceID())
			}
		}
	})
}

func TestJobsThatComeByOtherWays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, batch.Options{}, otel.Options{})
		executor := l.telemetry.Executor(batchtest.Succeed())
		require.Equal(t, executor, l.telemetry.Executor(executor), "and it is traced once")
		require.Nil(t, l.telemetry.Executor(nil))

		require.NoError(t, l.Create(t.Context(), batch.Job{Name: "plain", Executor: executor,
			Annotations: map[string]string{"traceparent": "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"}}))
		_, err := l.Wait(t.Context(), "plain")
		require.NoError(t, err)
		time.Sleep(time.Second)
		ctx, request := l.tracer.Start(t.Context(), "request")
		_, err = batch.Run(ctx, batch.Job{Name: "run", Executor: executor})
		require.NoError(t, err)
		request.End()
		l.finish()
		require.Equal(t, "job name=plain\n  attempt name=plain\nrequest\n  attempt name=run\n", l.tree("k8s.job.name"))
		require.Equal(t, "0123456789abcdef0123456789abcdef", l.one("batch.job").SpanContext().TraceID().String())
		require.Equal(t, request.SpanContext().TraceID(), trace.SpanContextFromContext(ctx).TraceID())
	})
}

func TestPendingAttemptsStayPending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, batch.Options{}, otel.Options{})
		slow := batchtest.Script{batchtest.Do(batchtest.Pending(time.Minute), batchtest.Hang())}
		l.create(batch.Job{Name: "j", Executor: slow})
		time.Sleep(time.Second)
		status, err := l.Get("j")
		require.NoError(t, err)
		require.Equal(t, 1, status.Pending)
	})
}

func TestOptionsAreValidated(t *testing.T) {
	_, err := otel.New(batchtest.NewController(t, batch.Options{}), otel.Options{MaxJobs: -1})
	require.EqualError(t, err, "otel: Options.MaxJobs: -1: must not be negative")
}
