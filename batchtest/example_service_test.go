package batchtest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

// The first half of this file is a service, made up but whole: it renders a
// report for each day, as a job. The second half is its unit test, which needs
// nothing but package batchtest and a bubble of testing/synctest.

// errNoSales is the error of render for a day without sales: no retry will
// change that.
var errNoSales = errors.New("no sales on that day")

// A reportService renders a report for each day.
type reportService struct {
	jobs   *batch.Controller
	render func(ctx context.Context) error
}

// start begins the report of a day. It is rendered up to four times within an
// hour.
func (s *reportService) start(ctx context.Context, day string) error {
	return s.jobs.Create(ctx, batch.Job{
		Name:           "report-" + day,
		BackoffLimit:   new(3),
		ActiveDeadline: new(time.Hour),
		FailurePolicy: []batch.FailureRule{
			{Action: batch.ActionFailJob, OnError: batch.ErrorIs(errNoSales)},
		},
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			a.Progress(0, 1, "rendering")
			return s.render(ctx)
		}),
	})
}

// wait waits until the report of a day is there, or will never be.
func (s *reportService) wait(ctx context.Context, day string) error {
	_, err := s.jobs.Wait(ctx, "report-"+day)
	return err
}

// newReportService makes the service around a script of what render does.
func newReportService(t *testing.T, render batchtest.Script) *reportService {
	return &reportService{
		jobs:   batchtest.NewController(t, batch.Options{}),
		render: batchtest.Func(render),
	}
}

var errDatabase = errors.New("connection refused")

var reportTests = map[string]struct {
	render   batchtest.Script
	reason   string // why there will be no report; empty if there is one
	err      error  // found by errors.Is
	took     time.Duration
	attempts string
}{
	"a transient failure is retried after 10 s": {
		render: batchtest.Script{
			batchtest.Fail(errDatabase),
			batchtest.Take(5 * time.Minute),
		},
		took: 5*time.Minute + 10*time.Second,
		attempts: `
				number  phase      started  took  error
				0       Failed     0s       0s    connection refused
				1       Succeeded  10s      5m    -`,
	},
	"a permanent failure gives up at once": {
		render: batchtest.Script{batchtest.Fail(errNoSales)},
		reason: batch.ReasonPodFailurePolicy,
		err:    errNoSales,
		attempts: `
				number  phase   error
				0       Failed  no sales on that day`,
	},
	"four failures are enough": {
		render: batchtest.Script{batchtest.Fail(errDatabase)},
		reason: batch.ReasonBackoffLimitExceeded,
		err:    errDatabase,
		took:   (10 + 20 + 40) * time.Second,
		attempts: `
				number  phase   started
				0       Failed  0s
				1       Failed  10s
				2       Failed  30s
				3       Failed  70s`,
	},
	"a panic is a failure like any other": {
		render: batchtest.Script{batchtest.Panic("nil map"), batchtest.Succeed()},
		took:   10 * time.Second,
		attempts: `
				number  phase      exit
				0       Failed     2
				1       Succeeded  0`,
	},
	"an hour is enough": {
		render: batchtest.Script{batchtest.Hang()},
		reason: batch.ReasonDeadlineExceeded,
		took:   time.Hour,
		attempts: `
				number  phase   took  error
				0       Failed  1h    batch: deadline of the job exceeded`,
	},
}

func TestReportService(t *testing.T) {

	for name, tt := range reportTests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				service, start := newReportService(t, tt.render), time.Now()
				require.NoError(t, service.start(t.Context(), "monday"))

				err := service.wait(t.Context(), "monday")
				require.Equal(t, tt.took, time.Since(start))
				require.Equal(t, tt.reason, reasonOf(err))
				require.True(t, tt.err == nil || errors.Is(err, tt.err), "the error is %v", err)
				attempts, err := service.jobs.Attempts(t.Context(), "report-monday")
				require.NoError(t, err)
				batchtest.WantAttempts(t, attempts, tt.attempts)
			})
		})
	}
}

// reasonOf returns the reason of a job's failure, or "" if it has not failed.
func reasonOf(err error) string {
	if failed, ok := errors.AsType[*batch.JobError](err); ok {
		return failed.Reason
	}
	return ""
}

func TestReportService_IsInterruptedByAShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := newReportService(t, batchtest.Script{batchtest.Take(10 * time.Minute)})
		require.NoError(t, service.start(t.Context(), "monday"))

		// The shutdown leaves the report a minute, which is too short.
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.NoError(t, service.jobs.Shutdown(ctx))

		require.ErrorIs(t, service.wait(t.Context(), "monday"), batch.ErrShutdown)
		status, err := service.jobs.Get("report-monday")
		require.NoError(t, err)
		batchtest.WantStatus(t, status, `
			state   Running
			active  0
			failed  0
		`)
	})
}

func TestReportService_SaysWhenItTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := newReportService(t, batchtest.Script{batchtest.Exit(1), batchtest.Succeed()})
		require.NoError(t, service.start(t.Context(), "monday"))

		time.Sleep(4 * time.Second) // the first attempt has failed by now
		status, err := service.jobs.Get("report-monday")
		require.NoError(t, err)
		batchtest.WantStatus(t, status, `
			state    Running
			active   0
			failed   1
			retryIn  6s
		`)
	})
}
