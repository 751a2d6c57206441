package journal

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// A picky store refuses the records of one job.
type picky struct {
	disk
	refused string
}

var errRefused = errors.New("value too large")

func (p *picky) commit(ctx context.Context, records []Record) error {
	p.mu.Lock()
	refused := p.refused
	p.mu.Unlock()
	for _, r := range records {
		if r.Job == refused && r.Job != "" && r.Value != nil {
			return errRefused
		}
	}
	return p.disk.commit(ctx, records)
}

func (p *picky) refuse(job string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refused = job
}

func withPicky(t *testing.T, test func(t *testing.T, j *Journal, d *picky)) {
	synctest.Test(t, func(t *testing.T) {
		d := &picky{disk: disk{values: make(map[string]string)}}
		works := func(err error) { require.NoError(t, err, "the store works") }
		j := New(context.Background(), d.commit, works, Record{Key: "format", Value: []byte("1")})
		test(t, j, d)
		synctest.Wait()
	})
}

func TestOneThatTheStoreRefusesHoldsNobodyElseUp(t *testing.T) {
	for _, n := range []int{1, 2, 3, 10} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			withPicky(t, func(t *testing.T, j *Journal, d *picky) {
				d.gate = make(chan struct{}, 1000)
				var sources []*counter
				first := newCounter("first")
				first.add(j)
				synctest.Wait() // the others share the next commit
				for i := range n {
					sources = append(sources, newCounter(fmt.Sprint("job", i)))
					sources[i].add(j)
				}
				bad := sources[n/2]
				d.refuse(bad.name)
				close(d.gate)
				require.NoError(t, j.Sync(t.Context()))
				for _, s := range sources {
					if s == bad {
						require.Zero(t, s.stored)
						require.Equal(t, []error{errRefused}, s.stuck)
					} else {
						require.Equal(t, 1, s.stored)
						require.Empty(t, s.stuck)
					}
				}
				require.NoError(t, j.Failing())

				d.refuse("")
				time.Sleep(10 * time.Second)
				synctest.Wait()
				require.Equal(t, 1, bad.stored, "it is tried again")
				require.Equal(t, []error{errRefused, nil}, bad.stuck)
				require.NoError(t, j.Close(t.Context()))
			})
		})
	}
}

func TestAStuckSourceIsStoredWithItsLatestChange(t *testing.T) {
	withPicky(t, func(t *testing.T, j *Journal, d *picky) {
		bad := newCounter("bad")
		d.refuse("bad")
		bad.add(j)
		synctest.Wait()
		require.Equal(t, []error{errRefused}, bad.stuck)
		d.refuse("")
		bad.add(j)
		require.NoError(t, j.Sync(t.Context()))
		require.Equal(t, 2, bad.stored, "at once, and with all it has")
		require.Equal(t, "2", d.values["bad/n"])
	})
}

func TestCloseReportsWhatIsStuck(t *testing.T) {
	withPicky(t, func(t *testing.T, j *Journal, d *picky) {
		bad := newCounter("bad")
		d.refuse("bad")
		bad.add(j)
		synctest.Wait()
		require.ErrorIs(t, j.Close(t.Context()), errRefused)
	})
}

func TestManyRefusedAreAStoreThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := errors.New("disk is full")
		commits := 0
		var troubles []error
		j := New(context.Background(), func(_ context.Context, records []Record) error {
			commits++
			if len(records) == 1 && records[0].Key == "format" {
				return nil // there is room for this one
			}
			return full
		}, func(err error) { troubles = append(troubles, err) }, Record{Key: "format"})
		for i := range 1000 {
			newCounter(fmt.Sprint(i)).add(j)
		}
		synctest.Wait()
		require.Equal(t, []error{full}, troubles)
		require.Less(t, commits, 200)
		require.ErrorIs(t, j.Close(t.Context()), full)
	})
}

func TestPutEndsWithItsContext(t *testing.T) {
	inBubble(t, func(t *testing.T, j *Journal, d *disk, _ *[]error) {
		d.gate = make(chan struct{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		late := make(chan struct{})
		err := j.Put(ctx, []Record{{"job", "n", []byte("1")}}, []Record{{Job: "job"}}, func() { close(late) })
		require.ErrorIs(t, err, context.DeadlineExceeded)
		synctest.Wait()
		select {
		case <-late:
			t.Fatal("it is not known yet whether it was stored")
		default:
		}
		close(d.gate)
		<-late
		require.Empty(t, d.values, "it is undone")
		require.NoError(t, j.Close(t.Context()))
	})
}

func TestCloseOfAStoreThatHangs(t *testing.T) {
	for name, hears := range map[string]bool{"hears its context": true, "does not": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				never := make(chan struct{})
				j := New(context.Background(), func(ctx context.Context, _ []Record) error {
					if !hears {
						<-never
					}
					<-ctx.Done()
					return context.Cause(ctx)
				}, func(error) {})
				newCounter("a").add(j)
				start := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				require.Error(t, j.Close(ctx))
				require.LessOrEqual(t, time.Since(start), 1500*time.Millisecond)
				close(never)
				synctest.Wait()
			})
		})
	}
}
