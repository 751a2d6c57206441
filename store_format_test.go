package batch_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

// put puts a record into a store, or removes it.
func put(t *testing.T, store batch.Store, job, key string, value []byte) {
	t.Helper()
	require.NoError(t, store.Commit(t.Context(), []batch.Record{{Job: job, Key: key, Value: value}}))
}

// contents are the values of a store by "job/key".
func contents(t *testing.T, store batch.Store) map[string]string {
	t.Helper()
	values := make(map[string]string)
	for r, err := range store.Load(t.Context()) {
		require.NoError(t, err)
		values[r.Job+"/"+r.Key] = string(r.Value)
	}
	return values
}

// A store that this version cannot read is refused, and left as it is.
func TestStoreOfAnotherFormat(t *testing.T) {
	cases := map[string]struct {
		records []batch.Record
		have    string
	}{
		"a newer one": {records: []batch.Record{{Key: "format", Value: []byte("batch/3")}}, have: "batch/3"},
		"a newer one with a job": {
			records: []batch.Record{{Job: "x", Key: "job", Value: []byte("?")}, {Key: "format", Value: []byte("batch/3")}},
			have:    "batch/3",
		},
		"an older one with a job": {
			records: []batch.Record{{Job: "x", Key: "job", Value: []byte("?")}, {Key: "format", Value: []byte("batch/1")}},
			have:    "batch/1",
		},
		"somebody else's":          {records: []batch.Record{{Job: "x", Key: "y", Value: []byte("z")}}},
		"somebody else's, of none": {records: []batch.Record{{Key: "y", Value: []byte("z")}}},
		"nothing, in a record": {
			records: []batch.Record{{Key: "format", Value: []byte("")}, {Job: "x", Key: "y", Value: []byte("z")}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var store batchtest.MemoryStore
			require.NoError(t, store.Commit(t.Context(), tc.records))
			before := contents(t, &store)
			c, err := batch.New(t.Context(), batch.Options{Store: &store})
			require.Nil(t, c)
			require.ErrorIs(t, err, batch.ErrStoreFormat)
			require.EqualError(t, err, fmt.Sprintf("batch: format of the store: %q, this version needs %q", tc.have, "batch/2"))
			require.Equal(t, before, contents(t, &store))
		})
	}
}

// rich is a store with jobs that have every kind of record.
func rich(t *testing.T) *batchtest.MemoryStore {
	t.Helper()
	var store batchtest.MemoryStore
	c, err := batch.New(t.Context(), batch.Options{Store: &store})
	require.NoError(t, err)
	apply(t, c, batch.Job{Name: "running", CompletionMode: batch.Indexed, Completions: new(3000), Parallelism: new(50),
		BackoffLimitPerIndex: new(1),
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			switch a.Index % 10 {
			case 0:
				return exit(3)
			case 1:
				a.SetOutput("wrote something")
			}
			return lasts(ctx, time.Second)
		})})
	apply(t, c, batch.Job{
		Name: "over", BackoffLimit: new(2), Backoff: batch.ConstantBackoff(0), Executor: fails(errCause),
	})
	apply(t, c, batch.Job{Name: "held", CompletionMode: batch.Indexed, Completions: new(3), Executor: untilDone})
	time.Sleep(25500 * time.Millisecond)
	require.NoError(t, c.Suspend(t.Context(), "held"))
	left := copyOf(t, &store)
	shut(t, c)
	return left
}

// A record that cannot be read is named, with its job; nothing is overwritten.
func TestBrokenRecords(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := rich(t)
		kinds := make(map[string]bool)
		for name := range contents(t, store) {
			job, key, _ := strings.Cut(name, "/")
			if job == "" {
				continue
			}
			kind, _, _ := strings.Cut(key, "/")
			if kinds[kind] {
				continue // one of a kind will do
			}
			kinds[kind] = true
			for _, broken := range []string{"{", "\xff\xff"} {
				copied := copyOf(t, store)
				put(t, copied, job, key, []byte(broken))
				before := contents(t, copied)
				c, err := batch.New(t.Context(), batch.Options{Store: copied})
				require.Nil(t, c, "%q as record %q", broken, key)
				isStoreError(t, err)
				require.ErrorContains(t, err, "batch: store: job "+job+": ")
				require.ErrorContains(t, err, fmt.Sprintf("record %q: ", key))
				require.Equal(t, before, contents(t, copied))
			}
		}
		require.Equal(
			t, []string{"a", "c", "events", "f", "failure", "g", "head", "job", "n", "p", "s"}, slices.Sorted(maps.Keys(kinds)),
		)
		for _, key := range []string{"job", "head"} {
			copied := copyOf(t, store)
			for name := range contents(t, store) {
				if job, is, _ := strings.Cut(name, "/"); is == key {
					put(t, copied, job, key, nil)
				}
			}
			_, err := batch.New(t.Context(), batch.Options{Store: copied})
			isStoreError(t, err)
			require.ErrorContains(t, err, fmt.Sprintf("record %q", key))
		}
		copied := copyOf(t, store)
		put(t, copied, "x", "what", []byte("ever"))
		_, err := batch.New(t.Context(), batch.Options{Store: copied})
		require.ErrorContains(t, err, `job x: record "job": `)
		copied = copyOf(t, store)
		put(t, copied, "", "dirs", []byte("../../home")) // it says what is to be removed
		_, err = batch.New(t.Context(), batch.Options{Store: copied})
		isStoreError(t, err)
		require.ErrorContains(t, err, `record "dirs": "../../home"`)
		copied = copyOf(t, store)
		put(t, copied, "", "what", []byte("ever"))
		_, err = batch.New(t.Context(), batch.Options{Store: copied})
		isStoreError(t, err)
	})
}

// Whatever is in a store, a controller can be made of it or not: it does not
// panic.
func TestDamagedRecords(t *testing.T) {
	bubble(t, func(t *testing.T) {
		values := contents(t, rich(t))
		names := slices.Sorted(maps.Keys(values))
		r := rand.New(rand.NewPCG(1, 2))
		refused := 0
		important := slices.DeleteFunc(slices.Clone(names), func(name string) bool {
			return !strings.HasSuffix(name, "/head") && !strings.HasSuffix(name, "/job")
		})
		const tries = 400
		for i := range tries {
			var store batchtest.MemoryStore
			victim := names[r.IntN(len(names))]
			if i%2 > 0 {
				victim = important[r.IntN(len(important))]
			}
			for name, value := range values {
				job, key, _ := strings.Cut(name, "/")
				if name == victim {
					value = damaged(value, r)
				}
				put(t, &store, job, key, []byte(value))
			}
			c, err := batch.New(t.Context(), batch.Options{Store: &store})
			if err != nil {
				refused++
				continue
			}
			shut(t, c)
		}
		require.Greater(t, refused, tries/20)
		require.Less(t, refused, tries)
	})
}

// damaged is a value in which something is wrong.
func damaged(value string, r *rand.Rand) string {
	if value == "" {
		return "?"
	}
	i := r.IntN(len(value))
	switch r.IntN(6) {
	case 0:
		return value[:i]
	case 1:
		return value[:i] + string(rune('0'+r.IntN(10))) + value[i+1:]
	case 2:
		return strings.ReplaceAll(value, string(value[i]), "")
	case 3:
		return []string{"null", "{}", "[]", "0", `""`, "[null]", "[{}]", `{"Spec":{}}`}[r.IntN(8)]
	case 4:
		return strings.ReplaceAll(value, ":"+string(value[i]), ":-1")
	}
	return value[:i] + string(byte(r.IntN(256))) + value[i+1:]
}

// What a job is called, and what is noted with it, may be anything that is
// valid.
func TestSpecsSurvive(t *testing.T) {
	odd := strings.Repeat("ü\u2028\u0000\"\\<&>\t\r\n'`{}[]\U0001F600\uFFFD", 100)
	cases := map[string]batch.Job{
		"the least":  {Executor: untilDone},
		"everything": everything(),
		"odd texts": {Executor: untilDone, Labels: map[string]string{"example.com/a_B.c": "x-Y_z.0", "empty": ""},
			Annotations: map[string]string{"example.com/Note": odd, "empty": ""}},
		"empty maps":  {Executor: untilDone, Labels: map[string]string{}, Annotations: map[string]string{}},
		"empty rules": {Executor: untilDone, FailurePolicy: []batch.FailureRule{}},
		"no rules":    {Executor: untilDone, FailurePolicy: []batch.FailureRule{}},
		"a long name": {Name: strings.Repeat("n", 63), Executor: untilDone},
		"dots":        {Name: "a.b.c-1", Executor: untilDone},
		"another's":   {Executor: untilDone, ManagedBy: new("acme.io/foo")},
		"a pending one": {
			Executor: pendingFunc(func(ctx context.Context, a batch.Attempt) error { <-ctx.Done(); return nil }),
		},
		"a work queue": {Executor: untilDone, Parallelism: new(3)},
		"the empty set": {Executor: untilDone, CompletionMode: batch.Indexed, Completions: new(3),
			SuccessPolicy: []batch.SuccessRule{
				{SucceededIndexes: new(batch.IndexSet{})}, {SucceededCount: new(0)}, {SucceededIndexes: indexes("0,2")}}},
		"great numbers": {
			Executor: untilDone, Completions: new(1 << 31), BackoffLimit: new(1<<31 - 1),
			ActiveDeadline: new(time.Duration(1<<63 - 1)), TTLAfterFinished: new(time.Duration(1<<63 - 1)),
		},
	}
	for name, job := range cases {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				if job.Name == "" {
					job.Name = "j"
				}
				var store batchtest.MemoryStore
				c := newController(t, batch.Options{Store: &store})
				apply(t, c, job)
				settle()
				before := get(t, c, job.Name)
				spec, err := c.Job(job.Name)
				require.NoError(t, err)
				for range 2 {
					shut(t, c)
					c = newController(t, batch.Options{Store: &store})
					again, err := c.Job(job.Name)
					require.NoError(t, err)
					require.Equal(t, specText(t, spec), specText(t, again))
					s := apply(t, c, job)
					require.Equal(t, before.Generation, s.Generation)
					require.Equal(t, before.UID, s.UID)
					require.Equal(t, before.ManagedBy, s.ManagedBy)
					settle()
					s = get(t, c, job.Name)
					require.Equal(t, before.Ready, s.Ready)
					require.Equal(t, before.Pending, s.Pending)
					again, err = c.Job(job.Name)
					require.NoError(t, err)
					require.Equal(t, specText(t, spec), specText(t, again))
				}
			})
		})
	}
}

// What attempts leave survives as it was told.
func TestTextsOfAttemptsSurvive(t *testing.T) {
	bubble(t, func(t *testing.T) {
		odd := "ü\u2028\u0000\"\\<&>\t\r\n\xff\xfe" + strings.Repeat("x", 5000)
		var store batchtest.MemoryStore
		c := newController(t, batch.Options{Store: &store})
		job := batch.Job{Name: "j", BackoffLimit: new(0),
			Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
				a.SetOutput(odd)
				require.NoError(
					t,
					a.SetCondition(batch.Condition{
						Type: "example.com/c", Status: "Unknown", Reason: "ü<>\xff", Message: "\u2028\"\\\x00\xff\xfe",
					}),
				)
				return errors.New(odd)
			})}
		apply(t, c, job)
		_, err := c.Wait(t.Context(), "j")
		failed(t, err, batch.ReasonBackoffLimitExceeded)
		before, attempts := get(t, c, "j"), attemptsOf(t, c, "j")
		shut(t, c)
		c = newController(t, batch.Options{Store: &store})
		require.Equal(t, stored(before), stored(get(t, c, "j")))
		require.Equal(t, withoutErrors(attempts), withoutErrors(attemptsOf(t, c, "j")))
	})
}

// What a running attempt has left survives a crash, once it was reported.
func TestOutputOfARunningAttemptSurvives(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store batchtest.MemoryStore
		c := newController(t, batch.Options{Store: &store})
		apply(t, c, batch.Job{Name: "j", Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			time.Sleep(time.Second)
			a.SetOutput("seen")
			return lasts(ctx, time.Hour)
		})})
		time.Sleep(2 * time.Second)
		require.Equal(t, "seen", attemptsOf(t, c, "j")[0].Output)
		require.Equal(t, "seen", attemptsOf(t, fresh(t, &store), "j")[0].Output)
	})
}

// A job costs its store what its index set and the attempts that are kept cost, and
// the last error of each index that was given up, but not something for each
// completion.
func TestStoreOfABigJob(t *testing.T) {
	const completions, history = 100_000, 1000
	cases := map[string]batch.Job{
		"Indexed":    {CompletionMode: batch.Indexed},
		"NonIndexed": {},
		"with failures": {CompletionMode: batch.Indexed, BackoffLimitPerIndex: new(0), Backoff: batch.ConstantBackoff(0),
			Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
				if a.Index%2 == 0 {
					return exit(3)
				}
				return nil
			})},
		"with outputs": {
			CompletionMode: batch.Indexed,
			Executor:       batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error { a.SetOutput("x"); return nil }),
		},
	}
	for name, job := range cases {
		t.Run(name, func(t *testing.T) {
			var store batchtest.MemoryStore
			c, err := batch.New(t.Context(), batch.Options{Store: &store})
			require.NoError(t, err)
			job.Name, job.Completions, job.Parallelism = "j", new(completions), new(64)
			if job.Executor == nil {
				job.Executor = succeed
			}
			apply(t, c, job)
			s, _ := c.Wait(t.Context(), "j")
			require.True(t, s.Finished())
			require.NoError(t, c.Shutdown(t.Context()))
			values := contents(t, &store)
			bytes := 0
			for name, value := range values {
				bytes += len(name) + len(value)
			}
			t.Logf("%d records, %d bytes", len(values), bytes)
			// Two bitmaps with a bit for each index, in pages of 1024; and the attempts
			// that are kept, in records of which at least one attempt is. An error costs
			// its text and what tells it from others.
			require.Less(t, len(values), 10+2*(completions/1024+1)+history+s.Failed)
			require.Less(t, bytes, 2*completions/8+2*history*400+s.Failed*120)
			again := newController(t, batch.Options{Store: &store})
			require.Equal(t, s.Succeeded, get(t, again, "j").Succeeded)
			require.Len(t, attemptsOf(t, again, "j"), history)
		})
	}
}
