package watchcache

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/cron"
)

// inCronWorld runs a test with a cache of a CronJob that starts a job each minute.
func inCronWorld(t *testing.T, test func(t *testing.T, crons *cron.Controller, cache *Cache)) {
	synctest.Test(t, func(t *testing.T) {
		c, err := batch.New(t.Context(), batch.Options{})
		require.NoError(t, err)
		crons, err := cron.New(c, cron.Options{})
		require.NoError(t, err)
		cache := New(c, crons)
		defer func() {
			cache.Close()
			require.NoError(t, crons.Shutdown(context.Background()))
			require.NoError(t, c.Shutdown(context.Background()))
		}()
		require.NoError(
			t, crons.Create(t.Context(), cron.CronJob{Name: "a", Schedule: "* * * * *", Job: batch.Job{Executor: succeed}}),
		)
		test(t, crons, cache)
	})
}

// follow lets time pass, and returns what somebody knows who has followed all changes.
func follow(t *testing.T, cache *Cache, kind Kind, d time.Duration) map[string]*Object {
	time.Sleep(5 * time.Second) // never in the instant in which jobs start
	snapshot, watcher := cache.ListAndWatch(kind)
	defer watcher.Close()
	known := make(map[string]*Object)
	for _, o := range snapshot.Objects {
		known[o.Name] = o
	}
	for end := time.Now().Add(d); time.Now().Before(end); {
		time.Sleep(10 * time.Second)
		changes, _, err := watcher.Changes()
		require.NoError(t, err)
		for _, c := range changes {
			require.Equal(t, c.Type == Added, known[c.Object.Name] == nil)
			if known[c.Object.Name] = c.Object; c.Type == Deleted {
				delete(known, c.Object.Name)
			}
		}
	}
	return known
}

func versions(objects map[string]*Object) map[string]uint64 {
	list := make(map[string]uint64)
	for name, o := range objects {
		list[name] = o.Version
	}
	return list
}

// TestFollowersOfCronJobsMissNothing: a watch and a list end with the same, after more
// events than are kept.
func TestFollowersOfCronJobsMissNothing(t *testing.T) {
	for name, kind := range map[string]Kind{"events": Events, "CronJobs": CronJobs} {
		t.Run(name, func(t *testing.T) {
			inCronWorld(t, func(t *testing.T, crons *cron.Controller, cache *Cache) {
				known := follow(t, cache, kind, 30*time.Minute)
				listed := make(map[string]*Object)
				for _, o := range cache.List(kind, "").Objects {
					if o.CronJob != nil {
						listed[o.Name] = o
					} else {
						delete(known, o.Name) // an event of a job
					}
				}
				require.Equal(t, versions(listed), versions(known))
				events, err := crons.Events("a")
				require.NoError(t, err)
				require.Len(t, events, 30, "older ones are gone")
				require.Len(t, listed, map[Kind]int{Events: 30, CronJobs: 1}[kind])
				require.Equal(t, "a", cache.CronJob("a").Name)
			})
		})
	}
}

// TestVersionsOfCronJobsOutliveIdleness: who holds one to update with can do so later.
func TestVersionsOfCronJobsOutliveIdleness(t *testing.T) {
	inCronWorld(t, func(t *testing.T, crons *cron.Controller, cache *Cache) {
		require.NoError(t, crons.Suspend(t.Context(), "a"))
		before := cache.CronJob("a").Version
		time.Sleep(2 * idleTime)
		require.Equal(t, before, cache.CronJob("a").Version)
		require.NoError(t, crons.Resume(t.Context(), "a"))
		require.Greater(t, cache.CronJob("a").Version, before)
	})
}

// TestADeletionIsStampedOnce: a CronJob that waits for its jobs has one time of deletion.
func TestADeletionIsStampedOnce(t *testing.T) {
	inCronWorld(t, func(t *testing.T, crons *cron.Controller, cache *Cache) {
		require.NoError(t, crons.Update(t.Context(), "a", func(j *cron.CronJob) {
			j.Job.TerminationGracePeriod = new(time.Hour)
			j.Job.Executor = batch.ExecutorFunc(func(ctx context.Context, _ batch.Attempt) error {
				<-ctx.Done()
				time.Sleep(30 * time.Minute)
				return nil
			})
		}))
		time.Sleep(61 * time.Second)
		begun := time.Now()
		require.NoError(t, crons.Delete(t.Context(), "a", batch.DeleteForeground))
		require.Equal(t, begun, cache.CronJob("a").CronJob.DeletedAt)
		time.Sleep(10 * time.Minute)
		require.Equal(t, begun, cache.CronJob("a").CronJob.DeletedAt)
		time.Sleep(30 * time.Minute)
		synctest.Wait()
		require.Nil(t, cache.CronJob("a"))
	})
}

// TestEventsThatComeAgain: the last event may have, and older ones are dropped.
func TestEventsThatComeAgain(t *testing.T) {
	at := time.Unix(1000, 0)
	event := func(message string, seconds, count int) cron.Event {
		return cron.Event{Time: at.Add(time.Duration(seconds) * time.Second), Reason: "R", Message: message, Count: count}
	}
	old := func(events ...cron.Event) (list []*Object) {
		for _, e := range events {
			list = append(list, &Object{Times: &Times{Count: e.Count},
				Event: &batch.Event{Reason: e.Reason, Message: e.Message, At: e.Time}})
		}
		return list
	}
	for name, test := range map[string]struct {
		old  []*Object
		now  []cron.Event
		want bool
	}{
		"nothing":   {want: true},
		"a new one": {now: []cron.Event{event("a", 0, 1)}, want: true},
		"the last one again": {
			old: old(event("a", 0, 1)), now: []cron.Event{event("a", 5, 2), event("b", 6, 1)}, want: true,
		},
		"another one in its place": {old: old(event("a", 0, 1)), now: []cron.Event{event("b", 0, 1)}},
		"the same at another time": {old: old(event("a", 0, 1)), now: []cron.Event{event("a", 5, 1)}},
		"not the last one again": {
			old: old(event("a", 0, 1), event("b", 1, 1)), now: []cron.Event{event("a", 5, 2), event("b", 1, 1)},
		},
		"fewer than there have been": {old: old(event("a", 0, 1), event("b", 1, 1)), now: []cron.Event{event("a", 0, 1)}},
	} {
		require.Equal(t, test.want, continues(test.old, test.now), name)
	}
}
