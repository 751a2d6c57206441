package batch_test

import (
	"context"
	"iter"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

// A disk is a Store that does with its commits what a test wants.
type disk struct {
	memory batchtest.MemoryStore

	mu      sync.Mutex // guards the fields below
	respond func(apply func() error) error
	commits [][]batch.Record // those that were applied
}

func (d *disk) Load(ctx context.Context) iter.Seq2[batch.Record, error] { return d.memory.Load(ctx) }

func (d *disk) Commit(ctx context.Context, records []batch.Record) error {
	d.mu.Lock()
	respond := d.respond
	d.mu.Unlock()
	apply := func() error {
		d.mu.Lock()
		d.commits = append(d.commits, copyRecords(records))
		d.mu.Unlock()
		return d.memory.Commit(ctx, records)
	}
	if respond == nil {
		return apply()
	}
	return respond(apply)
}

func copyRecords(records []batch.Record) []batch.Record {
	copied := slices.Clone(records)
	for i := range copied {
		if copied[i].Value != nil {
			copied[i].Value = append([]byte{}, copied[i].Value...)
		}
	}
	return copied
}

// set says what becomes of the commits that begin from now on; nil lets them
// succeed.
func (d *disk) set(respond func(apply func() error) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.respond = respond
}

// hold keeps commits from ending until release is called.
func (d *disk) hold() (release func()) {
	gate := make(chan struct{})
	d.set(func(apply func() error) error { <-gate; return apply() })
	return func() { d.set(nil); close(gate) }
}

func isGone(t *testing.T, c *batch.Controller) {
	_, err := c.Get("there")
	require.ErrorIs(t, err, batch.ErrNotFound)
}

func isWide(t *testing.T, c *batch.Controller) { require.Equal(t, 2, get(t, c, "there").Parallelism) }

func isNew(t *testing.T, c *batch.Controller) { get(t, c, "new") }

var jobThere = batch.Job{Name: "there", Completions: new(9), Executor: untilDone}

var callsWaitForTheStoreTests = map[string]struct {
	call  func(ctx context.Context, c *batch.Controller, attempt string) error
	check func(t *testing.T, c *batch.Controller) // of a process that starts when the call has returned
}{
	"Create": {call: func(ctx context.Context, c *batch.Controller, _ string) error {
		return c.Create(ctx, batch.Job{Name: "new", Executor: untilDone})
	}, check: isNew},
	"Apply of a new job": {call: func(ctx context.Context, c *batch.Controller, _ string) error {
		_, err := c.Apply(ctx, batch.Job{Name: "new", Executor: untilDone})
		return err
	}, check: isNew},
	"Apply of a change": {call: func(ctx context.Context, c *batch.Controller, _ string) error {
		changed := jobThere
		changed.Parallelism = new(2)
		_, err := c.Apply(ctx, changed)
		return err
	}, check: isWide},
	"Update": {call: func(ctx context.Context, c *batch.Controller, _ string) error {
		return c.Update(ctx, "there", func(j *batch.Job) { j.Parallelism = new(2) })
	}, check: isWide},
	"Suspend": {call: func(ctx context.Context, c *batch.Controller, _ string) error { return c.Suspend(ctx, "there") },
		check: func(t *testing.T, c *batch.Controller) { require.Equal(t, "Suspended", get(t, c, "there").State()) }},
	"Resume": {call: func(ctx context.Context, c *batch.Controller, _ string) error { return c.Resume(ctx, "held") },
		check: func(t *testing.T, c *batch.Controller) { require.Equal(t, "Running", get(t, c, "held").State()) }},
	"Delete": {call: func(ctx context.Context, c *batch.Controller, _ string) error {
		return c.Delete(ctx, "there", batch.DeleteBackground)
	}, check: isGone},
	"Delete of an orphan": {call: func(ctx context.Context, c *batch.Controller, _ string) error {
		return c.Delete(ctx, "there", batch.DeleteOrphan)
	}, check: isGone},
	"Delete in the foreground": {call: func(ctx context.Context, c *batch.Controller, _ string) error {
		return c.Delete(ctx, "there", batch.DeleteForeground)
	}, check: isGone},
	"DeleteAttempt": {call: func(ctx context.Context, c *batch.Controller, attempt string) error {
		return c.DeleteAttempt(ctx, "there", attempt)
	}, check: func(t *testing.T, c *batch.Controller) {
		require.Equal(t, "user", attemptsOf(t, c, "there")[0].DeletedBy)
	}},
	"Disrupt": {call: func(ctx context.Context, c *batch.Controller, attempt string) error {
		return c.Disrupt(ctx, "there", attempt, "DeletionByPodGC")
	}, check: func(t *testing.T, c *batch.Controller) {
		require.Equal(t, "DeletionByPodGC", attemptsOf(t, c, "there")[0].Conditions[0].Reason)
	}},
}

// What a call answers is stored before the call returns.
func TestCallsWaitForTheStore(t *testing.T) {

	for name, tc := range callsWaitForTheStoreTests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var store disk
				c := newController(t, batch.Options{Store: &store})
				mustCreate(t, c, jobThere)
				mustCreate(t, c, batch.Job{Name: "held", Suspend: true, Executor: untilDone})
				attempt := attemptsOf(t, c, "there")[0].Name
				settle()

				impatient, cancel := context.WithTimeoutCause(t.Context(), time.Second, errCause)
				defer cancel()
				release := store.hold()
				answers := make(chan error, 1)
				go func() { answers <- tc.call(t.Context(), c, attempt) }()
				synctest.Wait()
				require.Empty(t, answers, "answered before it was stored")
				before := recorded(t, &store)
				<-impatient.Done()
				require.Empty(t, answers)
				require.Equal(t, before, recorded(t, &store))
				release()
				require.NoError(t, <-answers)
				tc.check(t, fresh(t, &store))
			})
		})
	}
}

// A caller that has waited long enough for the store gets the cause of its
// context; what it called for happens all the same.
func TestCallersNeedNotWaitForTheStore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store disk
		c := newController(t, batch.Options{Store: &store})
		mustCreate(t, c, batch.Job{Name: "there", Executor: untilDone})
		settle()
		release := store.hold()
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errCause)
		defer cancel()
		require.ErrorIs(t, c.Suspend(ctx, "there"), errCause)
		require.Equal(t, "Running", get(t, c, "there").State())
		release()
		settle()
		require.Equal(t, "Suspended", get(t, c, "there").State())
	})
}

// What is there to be read is what is stored.
func TestReadsShowWhatIsStored(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store disk
		c := newController(t, batch.Options{Store: &store})
		mustCreate(t, c, batch.Job{
			Name: "j", CompletionMode: batch.Indexed, Completions: new(3), Executor: takes(time.Second),
		})
		settle()
		first := get(t, c, "j")
		watched := make(chan batch.Change, 100)
		go func() {
			for change := range c.Watch(t.Context(), first.Revision) {
				watched <- change
			}
		}()
		waited := make(chan batch.Status, 1)
		go func() { s, _ := c.Wait(t.Context(), "j"); waited <- s }()

		release := store.hold()
		time.Sleep(time.Minute)
		require.Equal(t, first, get(t, c, "j"))
		require.Equal(t, first, slices.Collect(c.All())[0])
		require.Empty(t, watched)
		require.Empty(t, waited)
		for name, read := range map[string]func() error{
			"Attempts": func() error { _, err := c.Attempts(t.Context(), "j"); return err },
			"Events":   func() error { _, err := c.Events(t.Context(), "j"); return err },
		} {
			answers := make(chan error, 1)
			go func() { answers <- read() }()
			synctest.Wait()
			require.Empty(t, answers, name)
			defer func() { require.NoError(t, <-answers, name) }()
		}

		release()
		settle()
		last := <-waited
		require.True(t, last.Is(batch.ConditionComplete))
		require.Equal(t, stored(last), stored(get(t, c, "j")))
		for change := range watched {
			if change.Status.Finished() {
				require.Equal(t, stored(last), stored(change.Status))
				break
			}
		}
		require.Equal(t, stored(last), stored(get(t, fresh(t, &store), "j")))
	})
}
