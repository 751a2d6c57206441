package main

import (
	"archive/zip"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/cron"
)

// TestEachNightHasItsBackup lets a week go by in virtual time, in which Berlin puts its
// clocks forward: the night of March 29 has no 02:30.
func TestEachNightHasItsBackup(t *testing.T) {
	folder := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 3, 27, 12, 0, 0, 0, time.UTC)))
		c, err := batch.New(t.Context(), batch.Options{})
		require.NoError(t, err)
		crons, err := cron.New(c, cron.Options{})
		require.NoError(t, err)
		status, err := crons.Apply(t.Context(), nightly(backup{smallTree(), folder}, "30 2 * * *", "Europe/Berlin"))
		require.NoError(t, err)
		require.Len(t, status.Next, 5)
		time.Sleep(3 * 24 * time.Hour)
		require.NoError(t, crons.Shutdown(t.Context()))
		require.NoError(t, c.Shutdown(t.Context()))
	})
	require.Equal(t, []string{"backup-2026-03-28-0230.zip", "backup-2026-03-29-0300.zip", "backup-2026-03-30-0230.zip"},
		namesIn(t, folder))
	archive, err := zip.OpenReader(filepath.Join(folder, "backup-2026-03-28-0230.zip"))
	require.NoError(t, err)
	defer archive.Close()
	text, err := archive.Open("docs/a")
	require.NoError(t, err)
	info, err := text.Stat()
	require.NoError(t, err)
	require.EqualValues(t, len("hello"), info.Size())
	require.Len(t, archive.File, 3)
}

func namesIn(t *testing.T, folder string) (names []string) {
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// TestABackupThatFailsLeavesNothing behind, and is tried again.
func TestABackupThatFailsLeavesNothing(t *testing.T) {
	folder := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		broken := backup{brokenFS{smallTree()}, folder}
		status, err := batch.Run(t.Context(), batch.Job{Name: "backup", BackoffLimit: new(1), Executor: broken})
		require.ErrorContains(t, err, "cannot be read")
		require.Equal(t, 2, status.Failed)
	})
	require.Empty(t, namesIn(t, folder))
}

// A brokenFS has files that cannot be read.
type brokenFS struct{ fstest.MapFS }

func (b brokenFS) Open(name string) (fs.File, error) {
	file, err := b.MapFS.Open(name)
	if err != nil {
		return nil, err
	}
	return brokenFile{file}, nil
}

type brokenFile struct{ fs.File }

func (brokenFile) Read([]byte) (int, error) { return 0, errors.New("it cannot be read") }

func TestBackupByHand(t *testing.T) {
	s := newTestService(t)
	folder := t.TempDir()
	_, err := s.cronJobs.Apply(t.Context(), nightly(backup{smallTree(), folder}, "0 0 29 2 *", ""))
	require.NoError(t, err)
	var job struct{ Name string }
	decode(t, s.want(t, http.StatusCreated, "POST", "/cronjobs/backup/run", ""), &job)
	_, err = s.jobs.Wait(t.Context(), job.Name)
	require.NoError(t, err)
	require.Len(t, namesIn(t, folder), 1)
	var list []struct{ Name, Schedule, Explain string }
	decode(t, s.want(t, http.StatusOK, "GET", "/cronjobs", ""), &list)
	require.Equal(t, "0 0 29 2 *", list[0].Schedule)
	require.NotEmpty(t, list[0].Explain)
	s.want(t, http.StatusNotFound, "POST", "/cronjobs/none/run", "")
}

// TestBackupIsNotOfItself: a folder inside of the root would be in each archive.
func TestBackupIsNotOfItself(t *testing.T) {
	folder := t.TempDir()
	root, err := os.OpenRoot(folder)
	require.NoError(t, err)
	defer root.Close()
	for _, inside := range []string{folder, filepath.Join(folder, "backups")} {
		_, err = newBackup(root, inside)
		require.ErrorContains(t, err, "-backup")
	}
	_, err = newBackup(root, t.TempDir())
	require.NoError(t, err)
}
