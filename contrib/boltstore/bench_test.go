package boltstore

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"github.com/runtocompletion/batch"
)

// benchRecords are the records of the i-th of many commits: of ten jobs, with
// fifty keys each, that are written again and again.
func benchRecords(i, n int) []batch.Record {
	records := make([]batch.Record, n)
	for k := range records {
		at := i*n + k
		records[k] = batch.Record{
			Job:   fmt.Sprintf("0190163d-8694-739b-aea5-966c26f8ad%02d", at%10),
			Key:   fmt.Sprint("attempt/", at/10%50),
			Value: fmt.Appendf(nil, "%0150d", at),
		}
	}
	return records
}

// BenchmarkCommit compares commits with what bbolt does in the same shape, a
// bucket for each job, with the options it has by default.
func BenchmarkCommit(b *testing.B) {
	for _, n := range []int{1, 100} {
		var commits [100][]batch.Record
		for i := range commits {
			commits[i] = benchRecords(i, n)
		}
		b.Run(fmt.Sprint("records=", n, "/raw"), func(b *testing.B) {
			db, err := bbolt.Open(storePath(b), 0o600, nil)
			require.NoError(b, err)
			defer db.Close()
			benchCommits(b, commits[:], func(records []batch.Record) error { return rawCommit(db, records) })
		})
		b.Run(fmt.Sprint("records=", n, "/boltstore"), func(b *testing.B) {
			s := open(b, storePath(b))
			benchCommits(b, commits[:], func(records []batch.Record) error { return s.Commit(context.Background(), records) })
		})
	}
}

func benchCommits(b *testing.B, commits [][]batch.Record, commit func([]batch.Record) error) {
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		require.NoError(b, commit(commits[i%len(commits)]))
		i++
	}
	b.ReportMetric(float64(b.N*len(commits[0]))/b.Elapsed().Seconds(), "records/s")
}

func rawCommit(db *bbolt.DB, records []batch.Record) error {
	return db.Update(func(tx *bbolt.Tx) error {
		for _, r := range records {
			bucket, err := tx.CreateBucketIfNotExists([]byte(r.Job))
			if err != nil {
				return err
			}
			if err := bucket.Put([]byte(r.Key), r.Value); err != nil {
				return err
			}
		}
		return nil
	})
}

// BenchmarkCommit_InALargeStore has a commit of ten records cost the same in a
// store of any size, and after most of it was removed.
func BenchmarkCommit_InALargeStore(b *testing.B) {
	for _, jobs := range []int{100, 10_000, 100_000} {
		for _, removed := range []bool{false, true} {
			b.Run(fmt.Sprintf("jobs=%d/removed=%t", jobs, removed), func(b *testing.B) {
				s := filled(b, jobs)
				if removed {
					removeJobs(b, s, jobs)
				}
				commits := [][]batch.Record{benchRecords(0, 10), benchRecords(1, 10)}
				benchCommits(b, commits, func(records []batch.Record) error { return s.Commit(context.Background(), records) })
			})
		}
	}
}

// filled is a store with jobs of three records each.
func filled(tb testing.TB, jobs int) *Store {
	s := open(tb, storePath(tb))
	var records []batch.Record
	for i := range jobs {
		job := fmt.Sprintf("job-%08d", i)
		records = append(
			records, record(job, "spec", fmt.Sprintf("%0300d", i)), record(job, "state", fmt.Sprintf("%0200d", i)),
			record(job, "attempt", fmt.Sprintf("%0100d", i)),
		)
		if len(records) >= 3000 || i == jobs-1 {
			commit(tb, s, records...)
			records = records[:0]
		}
	}
	return s
}

func removeJobs(tb testing.TB, s *Store, jobs int) {
	var records []batch.Record
	for i := range jobs {
		records = append(records, batch.Record{Job: fmt.Sprintf("job-%08d", i)})
		if len(records) == 1000 || i == jobs-1 {
			commit(tb, s, records...)
			records = records[:0]
		}
	}
}

func BenchmarkOpenAndLoad(b *testing.B) {
	const jobs = 100_000
	s := filled(b, jobs)
	require.NoError(b, s.Close())
	info, err := os.Stat(s.path)
	require.NoError(b, err)
	b.Run(fmt.Sprintf("Open/jobs=%d", jobs), func(b *testing.B) {
		b.SetBytes(info.Size())
		for b.Loop() {
			s, err := Open(s.path, Options{})
			require.NoError(b, err)
			require.NoError(b, s.Close())
		}
	})
	b.Run(fmt.Sprintf("Load/jobs=%d", jobs), func(b *testing.B) {
		s := open(b, s.path)
		for b.Loop() {
			count := 0
			for _, err := range s.Load(context.Background()) {
				require.NoError(b, err)
				count++
			}
			require.Equal(b, 3*jobs, count)
		}
		b.ReportMetric(float64(b.N)*3*jobs/b.Elapsed().Seconds(), "records/s")
	})
}

// BenchmarkController is what a durable completion costs: of no-op tasks, each
// counted, and told when it is in the file. Beside it is a raw loop of
// transactions of 100 records each.
func BenchmarkController(b *testing.B) {
	b.Run("raw", func(b *testing.B) {
		db, err := bbolt.Open(storePath(b), 0o600, nil)
		require.NoError(b, err)
		defer db.Close()
		for i := 0; b.Loop(); i++ {
			require.NoError(b, rawCommit(db, benchRecords(i, 100)))
		}
		b.ReportMetric(float64(b.N*100)/b.Elapsed().Seconds(), "records/s")
	})
	for _, p := range []int{64, 1} {
		b.Run(fmt.Sprint("parallelism=", p), func(b *testing.B) {
			store := &counting{Store: open(b, storePath(b))}
			c, err := batch.New(context.Background(), batch.Options{Store: store})
			require.NoError(b, err)
			b.ResetTimer()
			runNoops(b, c, b.N, p)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "completions/s")
			b.ReportMetric(float64(store.commits)/float64(b.N), "commits/op")
			require.NoError(b, c.Shutdown(b.Context()))
		})
	}
}

func runNoops(tb testing.TB, c *batch.Controller, n, parallelism int) {
	_, err := c.Apply(tb.Context(), batch.Job{Name: "noop", CompletionMode: batch.Indexed, Completions: new(n),
		Parallelism: new(parallelism),
		Executor:    batch.ExecutorFunc(func(context.Context, batch.Attempt) error { return nil })})
	require.NoError(tb, err)
	_, err = c.Wait(tb.Context(), "noop")
	require.NoError(tb, err)
}

// counting counts commits.
type counting struct {
	*Store
	commits int
}

func (c *counting) Commit(ctx context.Context, records []batch.Record) error {
	c.commits++
	return c.Store.Commit(ctx, records)
}

// TestCommitsOfACompletion has a job of one attempt at a time, each of which is
// told before the next one starts: it takes one commit, of two syncs, for each.
func TestCommitsOfACompletion(t *testing.T) {
	store := &counting{Store: open(t, storePath(t))}
	c, err := batch.New(t.Context(), batch.Options{Store: store})
	require.NoError(t, err)
	const completions = 50
	_, err = c.Apply(t.Context(), batch.Job{Name: "job", CompletionMode: batch.Indexed, Completions: new(completions),
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			for change, err := range c.Watch(ctx, 0) {
				if err != nil || change.Status.Succeeded == a.Index {
					return err
				}
			}
			return nil
		})})
	require.NoError(t, err)
	_, err = c.Wait(t.Context(), "job")
	require.NoError(t, err)
	require.NoError(t, c.Shutdown(t.Context()))
	const others = 8 // to open, create, start, finish and shut down
	require.LessOrEqual(t, store.commits, completions+others)
}
