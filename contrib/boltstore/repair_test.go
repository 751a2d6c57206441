package boltstore

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

// Whatever a controller thinks of the records, such as that two jobs have one
// name, the store opens, gives out all of them, job by job, and removes a job.
func TestStore_Repair(t *testing.T) {
	path := storePath(t)
	s := open(t, path)
	for _, uid := range []string{"uid-1", "uid-2"} {
		commit(t, s, record(uid, "head", "job nightly"), record(uid, "spec", "the same"))
	}
	require.NoError(t, s.Close())
	s = open(t, path)
	requireHolds(t, model{{"uid-1", "head"}: "job nightly", {"uid-1", "spec"}: "the same",
		{"uid-2", "head"}: "job nightly", {"uid-2", "spec"}: "the same"}, s)
	commit(t, s, batch.Record{Job: "uid-2"})
	requireHolds(t, model{{"uid-1", "head"}: "job nightly", {"uid-1", "spec"}: "the same"}, s)
}

// Load reads many jobs at a time, with few allocations, also if one of them is
// longer than a step.
func TestLoad_Allocations(t *testing.T) {
	const jobs = 3000
	s := filled(t, jobs)
	commit(t, s, batch.Record{Job: "job-00001500", Key: "large", Value: make([]byte, 3*stepSize)})
	count := 0
	allocs := testing.AllocsPerRun(2, func() {
		count = 0
		for _, err := range s.Load(t.Context()) {
			require.NoError(t, err)
			count++
		}
	})
	require.Equal(t, 3*jobs+1, count)
	require.Less(t, allocs/jobs, 15.0)
}
