package boltstore

import (
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

func fileSize(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	require.NoError(t, err)
	return info.Size()
}

// A store in which the same happens again and again reaches a size, and keeps
// it: after the first rounds it may grow once more, as pages are not always free
// next to each other.
func TestFile_KeepsItsSize(t *testing.T) {
	for name, round := range map[string]func(t *testing.T, s *Store, i int){
		"values are replaced": func(t *testing.T, s *Store, i int) {
			commit(t, s, benchRecords(i, 100)...)
		},
		"checkpoints of all sizes are replaced": func(t *testing.T, s *Store, i int) {
			for k := range 4 {
				commit(
					t, s, batch.Record{Job: "job", Key: fmt.Sprint(k), Value: make([]byte, (i*37+k*101)%64<<12)},
					record("job", "state", "running"),
				)
			}
		},
		"jobs come and go": func(t *testing.T, s *Store, i int) {
			var jobs, gone []batch.Record
			for k := range 50 {
				name := fmt.Sprint(i, "-", k)
				jobs = append(jobs, record(name, "spec", fmt.Sprintf("%0500d", k)), record(name, "state", "finished"))
				gone = append(gone, batch.Record{Job: name})
			}
			commit(t, s, jobs...)
			commit(t, s, gone...)
		},
		"a job of many records comes and goes": func(t *testing.T, s *Store, i int) {
			var records []batch.Record
			for k := range 1000 {
				records = append(records, record("job", fmt.Sprint(k), fmt.Sprintf("%0100d", i)))
			}
			commit(t, s, records...)
			commit(t, s, batch.Record{Job: "job"})
		},
		"a job is changed and removed at once": func(t *testing.T, s *Store, i int) {
			var large []batch.Record
			for k := range 10 {
				large = append(large, batch.Record{Job: "job", Key: fmt.Sprint(k), Value: make([]byte, 2*largeValue)})
			}
			commit(t, s, large...)
			commit(t, s, append(large[:5:5], batch.Record{Job: "job"})...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := storePath(t)
			s := open(t, path)
			for i := range 40 {
				round(t, s, i)
			}
			size := fileSize(t, path)
			for i := range 80 {
				round(t, s, 40+i)
			}
			require.LessOrEqual(t, fileSize(t, path), 2*size)
			requireNoPageLost(t, s)
			t.Logf("%d KiB", fileSize(t, path)>>10)
		})
	}
}

// What a commit writes does not depend on how much there is, or was.
func TestCommit_WritesFewPages(t *testing.T) {
	for _, jobs := range []int{10, 10_000} {
		for _, removed := range []bool{false, true} {
			s := filled(t, jobs)
			if removed {
				removeJobs(t, s, jobs)
			}
			commit(t, s, record("job", "state", "first"))
			before := contents(t, s.path)
			commit(t, s, record("job", "state", "second"))
			after := contents(t, s.path)
			require.LessOrEqual(t, len(changedPages(before, after)), 6, "jobs: %d, removed: %v", jobs, removed)
		}
	}
}

// A large value is not written again when its neighbours are.
func TestCommit_LeavesLargeValuesAlone(t *testing.T) {
	s := open(t, storePath(t))
	commit(
		t, s, record("job", "a", "small"), batch.Record{Job: "job", Key: "b", Value: make([]byte, 1<<20)},
		record("job", "c", "small"),
	)
	commit(t, s, record("job", "a", "other"))
	before := contents(t, s.path)
	commit(t, s, record("job", "c", "other"))
	require.LessOrEqual(t, len(changedPages(before, contents(t, s.path))), 5)
}
