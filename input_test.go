package batch_test

import (
	"context"
	"encoding/json"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

// An order is an input that counts how often it is decoded.
type order struct {
	Customers []string `json:"customers"`
}

var decodedOrders atomic.Int64

func (o *order) UnmarshalJSON(data []byte) error {
	decodedOrders.Add(1)
	type plain order
	return json.Unmarshal(data, (*plain)(o))
}

// billing bills the customers of its input, one by index, and notes them.
func billing(billed *[]string, item time.Duration) batch.Executor {
	return batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
		in, err := batch.Input[order](a)
		if err != nil {
			return err
		}
		if err := sleepUnlessDone(ctx, item); err != nil {
			return err
		}
		*billed = append(*billed, in.Customers[a.Index])
		return nil
	})
}

func TestInputIsDecodedOncePerJob(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var billed []string
		decodedOrders.Store(0)
		input := order{Customers: []string{"a", "b", "c"}}
		job := batch.Job{Name: "bills", CompletionMode: batch.Indexed, Completions: new(3), Parallelism: new(1),
			Input: &input, Executor: billing(&billed, 0)}
		c := newController(t, batch.Options{})
		require.NoError(t, c.Create(t.Context(), job))
		input.Customers[2] = "changed afterwards"
		complete(t, c, "bills")
		require.Equal(t, []string{"a", "b", "c"}, billed)
		require.EqualValues(t, 1, decodedOrders.Load())

		spec, err := c.Job("bills")
		require.NoError(t, err)
		require.Equal(t, json.RawMessage(`{"customers":["a","b","c"]}`), spec.Input)
		spec.Input.(json.RawMessage)[0] = 'x'
		again, err := c.Job("bills")
		require.NoError(t, err)
		require.Equal(t, json.RawMessage(`{"customers":["a","b","c"]}`), again.Input)
	})
}

// TestInputOfEachType wants the values of two types, and the same error in every
// attempt of a type that does not fit.
func TestInputOfEachType(t *testing.T) {
	executor := batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
		n, err := batch.Input[int64](a)
		require.NoError(t, err)
		require.Equal(t, int64(math.MaxInt64), n)
		text, err := batch.Input[json.Number](a)
		require.NoError(t, err)
		require.Equal(t, json.Number("9223372036854775807"), text)
		_, err = batch.Input[string](a)
		require.ErrorContains(t, err, `batch: input of job "j": json: cannot unmarshal number`)
		return nil
	})
	_, err := batch.Run(t.Context(), batch.Job{Name: "j", Completions: new(2), Input: math.MaxInt64, Executor: executor})
	require.NoError(t, err)
}

func TestAttemptsWithoutInput(t *testing.T) {
	_, err := batch.Run(t.Context(), batch.Job{Name: "j", Executor: batch.ExecutorFunc(
		func(_ context.Context, a batch.Attempt) error {
			_, err := batch.Input[int](a)
			require.EqualError(t, err, `batch: job "j" has no input`)
			return nil
		})})
	require.NoError(t, err)
	_, err = batch.Input[int](batch.Attempt{})
	require.EqualError(t, err, `batch: job "" has no input`)
	require.Nil(t, batch.Attempt{}.Labels())
	require.Nil(t, batch.Attempt{}.Annotations())
}

func TestInputsThatAreRefused(t *testing.T) {
	const mebibyte = 1 << 20
	for name, tc := range map[string]struct {
		input any
		want  string // after "Input: "; empty: it is not refused
	}{
		"a channel":         {input: make(chan int), want: `Invalid value: "chan int": json: unsupported type: chan int`},
		"not a number":      {input: math.NaN(), want: `Invalid value: "float64": json: unsupported value: NaN`},
		"JSON that is none": {input: json.RawMessage("{"), want: `Invalid value: "json.RawMessage": `},
		"the largest":       {input: strings.Repeat("x", mebibyte-2)},
		"one byte more": {input: strings.Repeat("x", mebibyte-1),
			want: "Too long: 1048577 bytes: may not be more than 1048576 bytes of JSON"},
		"a nil pointer": {input: (*order)(nil)},
	} {
		t.Run(name, func(t *testing.T) {
			job := batch.Job{Name: "j", Executor: succeed, Input: tc.input}
			if err := job.Validate(); tc.want == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, "Input: "+tc.want)
			}
		})
	}
}

// TestInputsThatPanic wants a panic of user code where that is called, and nothing
// broken by it.
func TestInputsThatPanic(t *testing.T) {
	c := newController(t, batch.Options{})
	require.PanicsWithValue(t, "encoding", func() {
		_ = c.Create(t.Context(), batch.Job{Name: "j", Executor: succeed, Input: panicking{}})
	})
	decode := batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
		_, err := batch.Input[panicking](a)
		return err
	})
	job := batch.Job{Name: "j", Input: 1, BackoffLimit: new(1), Backoff: batch.ConstantBackoff(0), Executor: decode}
	_, err := c.Run(t.Context(), job)
	jobErr := failed(t, err, batch.ReasonBackoffLimitExceeded)
	require.Len(t, jobErr.Attempts, 2)
	for _, attempt := range jobErr.Attempts {
		require.ErrorContains(t, attempt, "decoding")
	}
}

// A panicking value cannot be encoded, and not be decoded.
type panicking struct{}

func (panicking) MarshalJSON() ([]byte, error) { panic("encoding") }

func (*panicking) UnmarshalJSON([]byte) error { panic("decoding") }

// TestInputOutlivesTheProcess wants each customer billed once by two runs of a service
// whose list has changed in between.
func TestInputOutlivesTheProcess(t *testing.T) {
	for name, declared := range map[string]any{
		"the same list": order{[]string{"a", "b", "c", "d"}},
		"no list":       nil,
		"another list":  order{[]string{"b", "c", "d", "e"}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var billed []string
				store := new(batchtest.MemoryStore)
				job := batch.Job{Name: "bills", CompletionMode: batch.Indexed, Completions: new(4), Parallelism: new(1),
					Input: order{[]string{"a", "b", "c", "d"}}, Executor: billing(&billed, time.Minute)}
				c := newController(t, batch.Options{Store: store})
				apply(t, c, job)
				time.Sleep(150 * time.Second)
				shut(t, c)
				require.Equal(t, []string{"a", "b"}, billed)

				c = newController(t, batch.Options{Store: store})
				job.Input = declared
				_, err := c.Apply(t.Context(), job)
				if name == "another list" {
					invalid := validation(t, err)
					require.Equal(t, "spec.input", invalid.Fields[0].Field)
					require.EqualError(t, err, `batch: job "bills" is invalid: Input: Invalid value: `+
						`31 bytes with SHA-256 8e3dd1da26a27ee9: field is immutable: the job has 31 bytes with SHA-256 c548ea11f58b3fc4`)
				} else {
					require.NoError(t, err)
				}
				complete(t, c, "bills")
				require.Equal(t, []string{"a", "b", "c", "d"}, billed)
			})
		})
	}
}

func validation(t *testing.T, err error) *batch.ValidationError {
	t.Helper()
	var invalid *batch.ValidationError
	require.ErrorAs(t, err, &invalid)
	return invalid
}

// TestInputDoesNotChange wants a running job as it was, with the functions it had, and
// a finished one left alone.
func TestInputDoesNotChange(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		job := batch.Job{Name: "j", Completions: new(2), Input: "first", Executor: lasting(time.Minute)}
		before := apply(t, c, job)
		other := job
		other.Input, other.Parallelism, other.Executor = "second", new(2), fails(errDisk)
		_, err := c.Apply(t.Context(), other)
		require.Len(t, validation(t, err).Fields, 1)
		require.ErrorContains(t, c.Update(t.Context(), "j", func(j *batch.Job) { j.Input = nil }),
			"Input: Invalid value: none: field is immutable: the job has 7 bytes with SHA-256 ")
		err = c.Update(t.Context(), "j", func(j *batch.Job) { j.Input = func() {} })
		require.Len(t, validation(t, err).Fields, 1)
		require.NoError(t, c.Update(t.Context(), "j", func(j *batch.Job) { j.Labels = map[string]string{"a": "b"} }))
		after, err := c.Get("j")
		require.NoError(t, err)
		require.Equal(t, before.Generation, after.Generation)
		require.Equal(t, 1, after.Parallelism)
		complete(t, c, "j")
		apply(t, c, other)
	})
}

// TestAllMistakesBesideAnotherInput wants one error about a declaration that is wrong
// in several ways, and a job that goes on waiting.
func TestAllMistakesBesideAnotherInput(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := new(batchtest.MemoryStore)
		job := batch.Job{Name: "j", Input: 1, Executor: lasting(time.Minute)}
		c := newController(t, batch.Options{Store: store})
		apply(t, c, job)
		shut(t, c)
		c = newController(t, batch.Options{Store: store})
		job.Input, job.Completions = 2, new(7)
		_, err := c.Apply(t.Context(), job)
		require.Len(t, validation(t, err).Fields, 2)
		status, err := c.Get("j")
		require.NoError(t, err)
		require.True(t, status.Is(batch.ConditionStalled))
	})
}

// TestAnotherInputAfterARestart wants nothing of a declaration with another input but its
// functions.
func TestAnotherInputAfterARestart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := new(batchtest.MemoryStore)
		job := batch.Job{Name: "j", Input: 1, Executor: lasting(time.Minute), Labels: map[string]string{"of": "monday"}}
		c := newController(t, batch.Options{Store: store})
		apply(t, c, job)
		shut(t, c)
		c = newController(t, batch.Options{Store: store})
		job.Input, job.Labels, job.Priority, job.ActiveDeadline = 2, map[string]string{"of": "tuesday"}, 7, new(time.Hour)
		_, err := c.Apply(t.Context(), job)
		require.Len(t, validation(t, err).Fields, 1)
		kept, err := c.Job("j")
		require.NoError(t, err)
		require.Equal(t, "monday", kept.Labels["of"])
		require.Zero(t, kept.Priority)
		require.Nil(t, kept.ActiveDeadline)
		settle()
		require.Equal(t, 1, get(t, c, "j").Active)
	})
}

// TestInputIsStoredOnce wants one record of an input, however often the job changes.
func TestInputIsStoredOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store disk
		c := newController(t, batch.Options{Store: &store})
		apply(t, c, batch.Job{Name: "j", Input: strings.Repeat("x", 1000), Executor: lasting(time.Minute)})
		for range 5 {
			require.NoError(t, c.Suspend(t.Context(), "j"))
			require.NoError(t, c.Resume(t.Context(), "j"))
		}
		written := 0
		for _, records := range store.commits {
			for _, r := range records {
				written += strings.Count(string(r.Value), "xxxxxxxxxx")
			}
		}
		require.Equal(t, 100, written)
	})
}
