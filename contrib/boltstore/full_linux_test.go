package boltstore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

// fillDisk takes all that is free of a disk.
func fillDisk(t *testing.T, filler string) {
	t.Helper()
	file, err := os.Create(filler)
	require.NoError(t, err)
	for err == nil {
		_, err = file.Write(make([]byte, 4096))
	}
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.NoError(t, file.Close())
}

// On a disk without a free byte jobs can be removed, and then as much can be
// committed as they had room for. The file does not grow.
func TestCommit_RoomOfRemovedJobsOnAFullDisk(t *testing.T) {
	folder := mounted(t, 16<<20)
	path := filepath.Join(folder, "jobs.db")
	s := open(t, path)
	const jobs, size = 300, 3000
	value := fmt.Sprintf("%0*d", size, 0)
	for i := range jobs {
		commit(t, s, record(fmt.Sprint("finished-", i), "head", value))
	}
	fillDisk(t, filepath.Join(folder, "filler"))
	before := fileSize(t, path)
	var err error
	added := 0
	for err == nil { // until the free pages of the file are used up
		err = s.Commit(t.Context(), []batch.Record{record(fmt.Sprint("new-", added), "head", value)})
		added++
	}
	_, ok := errors.AsType[*IOError](err)
	require.True(t, ok, "%v", err)
	require.ErrorIs(t, err, syscall.ENOSPC)
	for i := range 100 {
		commit(t, s, batch.Record{Job: fmt.Sprint("finished-", i)})
	}
	for i := range 90 {
		commit(t, s, record(fmt.Sprint("again-", i), "head", value))
	}
	require.Equal(t, before, fileSize(t, path))
	requireNoPageLost(t, s)
}
