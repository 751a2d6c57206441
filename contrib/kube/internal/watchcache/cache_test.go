package watchcache

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// wait is an executor that ends when its context does.
var wait = batch.ExecutorFunc(func(ctx context.Context, _ batch.Attempt) error {
	<-ctx.Done()
	return nil
})

// succeed is an executor that does nothing.
var succeed = batch.ExecutorFunc(func(context.Context, batch.Attempt) error { return nil })

// A world is a cache and the controller behind it, in a bubble.
type world struct {
	*testing.T
	c     *batch.Controller
	cache *Cache
}

func inWorld(t *testing.T, test func(w *world)) {
	synctest.Test(t, func(t *testing.T) {
		c, err := batch.New(t.Context(), batch.Options{})
		require.NoError(t, err)
		w := &world{t, c, New(c, nil)}
		defer func() { // also if the test has failed
			w.cache.Close()
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			require.NoError(t, c.Shutdown(ctx))
		}()
		test(w)
	})
}

func (w *world) create(job batch.Job) {
	w.Helper()
	require.NoError(w, w.c.Create(w.Context(), job))
}

func (w *world) delete(name string, p string) {
	w.Helper()
	require.NoError(w, w.c.Delete(w.Context(), name, p))
}

func names(objects []*Object) []string {
	list := []string{}
	for _, o := range objects {
		list = append(list, o.Name)
	}
	return list
}

// A step is a change as tests want to see it.
type step struct {
	Type ChangeType
	Name string
}

// A view is what a client knows that follows all changes.
type view struct {
	*world
	watcher *Watcher
	objects map[string]*Object
	version uint64
	steps   []step
}

func (w *world) view(kind Kind) *view {
	snapshot, watcher := w.cache.ListAndWatch(kind)
	v := &view{world: w, watcher: watcher, objects: make(map[string]*Object), version: snapshot.Version}
	for _, o := range snapshot.Objects {
		v.objects[o.Name] = o
	}
	return v
}

// follow takes in all changes, and checks that they fit together.
func (v *view) follow() {
	v.Helper()
	time.Sleep(time.Minute)
	changes, _, err := v.watcher.Changes()
	require.NoError(v, err)
	for _, c := range changes {
		require.Greater(v, c.Version, v.version, "versions ascend")
		v.version = c.Version
		require.Equal(v, c.Version, c.Object.Version)
		require.Same(v, v.objects[c.Object.Name], c.Previous, "%s of %s", c.Type, c.Object.Name)
		require.Equal(v, c.Type == Added, c.Previous == nil)
		v.objects[c.Object.Name] = c.Object
		if c.Type == Deleted {
			delete(v.objects, c.Object.Name)
		}
		v.steps = append(v.steps, step{c.Type, c.Object.Name})
	}
	require.LessOrEqual(v, v.version, v.watcher.Cursor())
}

func TestListIsFresh(t *testing.T) {
	inWorld(t, func(w *world) {
		require.Empty(w, w.cache.List(Jobs, "").Objects)
		w.create(batch.Job{Name: "b", Executor: wait})
		w.create(batch.Job{Name: "a", Executor: wait, Parallelism: new(2)})
		require.Equal(w, []string{"a", "b"}, names(w.cache.List(Jobs, "").Objects))
		require.Len(w, w.cache.List(Pods, "").Objects, 3)
		require.Len(w, w.cache.List(Pods, "a").Objects, 2)
		require.Len(w, w.cache.List(Events, "a").Objects, 4, "two of the job and one of each pod")
		w.delete("b", batch.DeleteBackground)
		require.Equal(w, []string{"a"}, names(w.cache.List(Jobs, "").Objects))
		require.Nil(w, w.cache.Job("b"))
	})
}

func TestVersions(t *testing.T) {
	inWorld(t, func(w *world) {
		w.create(batch.Job{Name: "a", Executor: wait})
		synctest.Wait()
		first := w.cache.Job("a")
		require.Same(w, first, w.cache.Job("a"), "what has not changed has its version still")
		require.Equal(w, first.Version, w.cache.List(Jobs, "").Objects[0].Version)
		require.NoError(w, w.c.Suspend(w.Context(), "a"))
		require.Greater(w, w.cache.Job("a").Version, first.Version)
		time.Sleep(time.Millisecond)
		require.Greater(w, New(w.c, nil).Version(), w.cache.Version(), "a later cache has later versions")
	})
}

func TestFallsIdle(t *testing.T) {
	inWorld(t, func(w *world) {
		w.create(batch.Job{Name: "a", Executor: wait})
		w.create(batch.Job{Name: "b", Executor: wait})
		synctest.Wait()
		w.cache.List(Pods, "")
		a := w.cache.Job("a").Version
		w.delete("b", batch.DeleteBackground)
		time.Sleep(2 * idleTime)
		w.cache.mu.Lock()
		require.Empty(w, w.cache.jobs)
		require.NotEmpty(w, w.cache.numbers)
		w.cache.mu.Unlock()
		require.Equal(w, a, w.cache.Job("a").Version, "clients may hold a version for long")
		require.Equal(w, []string{"a"}, names(w.cache.List(Jobs, "").Objects))
		require.Empty(w, w.cache.numbers)
		_, err := w.cache.Watch(Jobs, a)
		require.ErrorIs(w, err, ErrTooOld)
	})
}

func TestWatchFollows(t *testing.T) {
	for _, kind := range []Kind{Jobs, Pods, Events} {
		t.Run(fmt.Sprint(kind), func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.create(batch.Job{Name: "old", Executor: wait, Parallelism: new(3)})
				v := w.view(kind)
				defer v.watcher.Close()
				w.create(batch.Job{Name: "new", Executor: wait, Parallelism: new(2)})
				v.follow()
				require.NoError(w, w.c.Suspend(w.Context(), "new"))
				v.follow()
				require.NoError(w, w.c.Resume(w.Context(), "new"))
				v.follow()
				w.delete("old", batch.DeleteBackground)
				w.create(batch.Job{Name: "old", Executor: succeed})
				v.follow()
				require.ElementsMatch(w, names(w.cache.List(kind, "").Objects), names(values(v.objects)))
				for _, o := range w.cache.List(kind, "").Objects {
					require.Same(w, o, v.objects[o.Name])
				}
			})
		})
	}
}

func values(m map[string]*Object) []*Object {
	var list []*Object
	for _, o := range m {
		list = append(list, o)
	}
	return list
}

func TestWatchFromVersion(t *testing.T) {
	inWorld(t, func(w *world) {
		w.create(batch.Job{Name: "a", Executor: wait})
		synctest.Wait()
		list := w.cache.List(Jobs, "")
		w.create(batch.Job{Name: "b", Executor: wait})
		w.delete("a", batch.DeleteBackground)
		watcher, err := w.cache.Watch(Jobs, list.Version)
		require.NoError(w, err)
		defer watcher.Close()
		time.Sleep(time.Second)
		changes, _, err := watcher.Changes()
		require.NoError(w, err)
		var steps []step
		for _, c := range changes {
			steps = append(steps, step{c.Type, c.Object.Name})
		}
		require.ElementsMatch(w, []step{{Added, "b"}, {Deleted, "a"}}, steps)
		for _, version := range []uint64{1, w.cache.Version() + 1} {
			_, err := w.cache.Watch(Jobs, version)
			require.ErrorIs(w, err, ErrTooOld)
		}
	})
}

func TestPodsOfDeletedJobLinger(t *testing.T) {
	inWorld(t, func(w *world) {
		release := make(chan struct{})
		w.create(batch.Job{Name: "a", Executor: batch.ExecutorFunc(func(context.Context, batch.Attempt) error {
			<-release
			return nil
		})})
		synctest.Wait()
		v := w.view(Pods)
		defer v.watcher.Close()
		w.delete("a", batch.DeleteBackground)
		time.Sleep(time.Second)
		pods := w.cache.List(Pods, "").Objects
		require.Len(w, pods, 1, "an attempt that has not ended is still a pod")
		require.False(w, pods[0].Pod.DeletedAt.IsZero())
		close(release)
		v.follow()
		require.Empty(w, v.objects)
		require.Empty(w, w.cache.removed)
	})
}

func TestStoppedAttemptsVanish(t *testing.T) {
	for name, stop := range map[string]func(w *world, pod *Object) error{
		"deleted by a user": func(w *world, pod *Object) error { return w.c.DeleteAttempt(w.Context(), "a", pod.Name) },
		"its job suspended": func(w *world, _ *Object) error { return w.c.Suspend(w.Context(), "a") },
		"its job has shrunk": func(w *world, _ *Object) error {
			return w.c.Update(w.Context(), "a", func(j *batch.Job) { j.Parallelism = new(0) })
		},
		"deleted with its job": func(w *world, _ *Object) error {
			return w.c.Delete(w.Context(), "a", batch.DeleteBackground)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.create(batch.Job{Name: "a", Executor: wait})
				synctest.Wait()
				list, watcher := w.cache.ListAndWatch(Pods)
				defer watcher.Close()
				pod := list.Objects[0]
				require.NoError(w, stop(w, pod))
				time.Sleep(time.Second)
				require.NotContains(w, names(w.cache.List(Pods, "").Objects), pod.Name)
				time.Sleep(time.Minute)
				changes, _, err := watcher.Changes()
				require.NoError(w, err)
				i := slices.IndexFunc(changes, func(c *Change) bool { return c.Type == Deleted && c.Object.Name == pod.Name })
				require.GreaterOrEqual(w, i, 0)
				if _, err := w.c.Get("a"); err == nil {
					last := changes[i].Object.Pod
					require.False(
						w, last.DeletedAt.IsZero() || last.FinishedAt.IsZero(), "nobody has looked between its stop and its end: %+v",
						last,
					)
				}
			})
		})
	}
}

func TestDismiss(t *testing.T) {
	inWorld(t, func(w *world) {
		w.create(batch.Job{Name: "a", Executor: succeed, Completions: new(2)})
		synctest.Wait()
		pods := w.cache.List(Pods, "").Objects
		require.Len(w, pods, 2, "attempts that have ended are pods")
		w.cache.Dismiss(pods[0])
		require.Equal(w, []string{pods[1].Name}, names(w.cache.List(Pods, "").Objects))
		require.Nil(w, w.cache.Object(Pods, pods[0].Name))
		time.Sleep(2 * idleTime)
		require.Equal(w, []string{pods[1].Name}, names(w.cache.List(Pods, "").Objects), "also after it was idle")
		w.delete("a", batch.DeleteBackground)
		require.Empty(w, w.cache.List(Pods, "").Objects)
		require.Empty(w, w.cache.jobs)
	})
}

func TestObjectByName(t *testing.T) {
	long := "a-job-with-a-name-so-long-that-its-attempts-have-only-a"
	inWorld(t, func(w *world) {
		for _, job := range []batch.Job{
			{Name: "plain"}, {Name: "with-dash-1"}, {Name: "dotted.name"},
			{Name: "indexed", CompletionMode: batch.Indexed, Completions: new(2)},
			{Name: long, CompletionMode: batch.Indexed, Completions: new(3000)},
		} {
			job.Executor, job.Parallelism, job.Suspend = wait, new(2), false
			w.create(job)
		}
		for _, kind := range []Kind{Pods, Events} {
			for _, o := range w.cache.List(kind, "").Objects {
				require.Same(w, o, w.cache.Object(kind, o.Name))
			}
		}
		for _, name := range []string{"", "-", ".", "plain", "plain-", "plain-xxxxx", "plain-xxxxx-yyyyy",
			long + "-0-00000"} {
			require.Nil(w, w.cache.Object(Pods, name), name)
		}
	})
}

func TestEventsAreInOrder(t *testing.T) {
	inWorld(t, func(w *world) {
		w.create(batch.Job{Name: "a", Executor: succeed, Completions: new(20), Parallelism: new(20)})
		synctest.Wait()
		var messages, want []string
		for _, o := range w.cache.List(Events, "").Objects {
			if o.Pod != nil {
				continue
			}
			messages = append(messages, o.Event.Message)
		}
		events, err := w.c.Events(t.Context(), "a")
		require.NoError(w, err)
		for _, e := range events {
			want = append(want, e.Message)
		}
		require.Equal(w, want, messages)
	})
}

func TestSlowWatcherIsCutOff(t *testing.T) {
	inWorld(t, func(w *world) {
		w.create(batch.Job{Name: "a", Executor: wait})
		synctest.Wait()
		v := w.view(Jobs)
		defer v.watcher.Close()
		for range 2*keptChanges + 100 {
			require.NoError(w, w.c.Update(w.Context(), "a", func(j *batch.Job) { j.Suspend = !j.Suspend }))
			w.cache.Job("a") // somebody sees every one of them
		}
		_, _, err := v.watcher.Changes()
		require.ErrorIs(w, err, ErrTooOld)
		require.Less(w, len(w.cache.logs[Jobs].changes), 2*keptChanges+10)
	})
}

func TestLogSurvivesABurst(t *testing.T) {
	inWorld(t, func(w *world) {
		v := w.view(Pods)
		defer v.watcher.Close()
		const many = 3 * keptChanges
		w.create(batch.Job{Name: "a", Executor: wait, Completions: new(many), Parallelism: new(many)})
		v.follow()
		require.Len(w, v.objects, many)
	})
}

func TestProgressIsNoChange(t *testing.T) {
	inWorld(t, func(w *world) {
		report := make(chan struct{})
		w.create(batch.Job{Name: "a", Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			for n := range int64(3) {
				<-report
				a.Progress(n, 3, "counting")
			}
			return wait(ctx, a)
		})})
		synctest.Wait()
		jobs, pods := w.view(Jobs), w.view(Pods)
		defer jobs.watcher.Close()
		defer pods.watcher.Close()
		for range 3 {
			report <- struct{}{}
			jobs.follow()
			pods.follow()
		}
		require.Empty(w, jobs.steps, "clients are not shown how far an attempt says it is")
		require.Empty(w, pods.steps)
		require.NoError(w, w.c.Update(w.Context(), "a", func(j *batch.Job) { j.Labels = map[string]string{"x": "y"} }))
		jobs.follow()
		require.NoError(w, w.c.Update(w.Context(), "a", func(j *batch.Job) { j.BackoffLimit = new(9) }))
		jobs.follow()
		require.NoError(w, w.c.Suspend(w.Context(), "a"))
		jobs.follow()
		require.GreaterOrEqual(w, len(jobs.steps), 3)
	})
}

func TestHotJobIsCoalesced(t *testing.T) {
	inWorld(t, func(w *world) {
		v := w.view(Pods)
		defer v.watcher.Close()
		jobs := w.view(Jobs)
		defer jobs.watcher.Close()
		w.create(batch.Job{Name: "hot", Completions: new(200_000), Parallelism: new(4), History: new(100),
			Executor: batch.ExecutorFunc(func(context.Context, batch.Attempt) error {
				time.Sleep(20 * time.Microsecond)
				return nil
			})})
		time.Sleep(time.Second)
		v.follow()
		jobs.follow()
		require.Equal(w, Deleted, v.steps[len(v.steps)-1].Type)
		require.Less(w, len(v.steps), 2_000, "at most about a thousand a second")
		require.Less(w, len(jobs.steps), 150, "at most a hundred a second")
		require.Equal(w, 200_000, jobs.objects["hot"].Job.Status.Succeeded)
	})
}

func TestCloseEndsWatches(t *testing.T) {
	inWorld(t, func(w *world) {
		v := w.view(Jobs)
		defer v.watcher.Close()
		_, more, err := v.watcher.Changes()
		require.NoError(w, err)
		w.cache.Close()
		<-more
		_, _, err = v.watcher.Changes()
		require.ErrorIs(w, err, ErrClosed)
	})
}

func TestShutdownEndsWatches(t *testing.T) {
	inWorld(t, func(w *world) {
		w.create(batch.Job{Name: "a", Executor: succeed})
		v := w.view(Jobs)
		defer v.watcher.Close()
		v.follow()
		require.NoError(w, w.c.Shutdown(w.Context()))
		synctest.Wait()
		_, _, err := v.watcher.Changes()
		require.ErrorIs(w, err, ErrClosed)
		require.Equal(w, []string{"a"}, names(w.cache.List(Jobs, "").Objects))
	})
}

func TestNothingRunsWithoutWatchers(t *testing.T) {
	inWorld(t, func(w *world) {
		v := w.view(Pods)
		require.NotNil(w, w.cache.follower.cancel)
		v.watcher.Close()
		v.watcher.Close()
		w.cache.follower.running.Wait()
		require.Nil(w, w.cache.follower.cancel)
		w.create(batch.Job{Name: "a", Executor: wait})
		require.Empty(w, w.cache.jobs)
	})
}
