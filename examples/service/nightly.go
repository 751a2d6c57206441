package main

import (
	"archive/zip"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/cron"
)

// nightly is the backup of each night. If one takes longer than a day, the next starts
// when it has ended; a night that was missed is made up for at once, by noon.
func nightly(b backup, schedule, zone string) cron.CronJob {
	return cron.CronJob{
		Name: "backup", Schedule: schedule, TimeZone: zone,
		EachTimeOnce:      true, // also when the clocks are put forward or back
		ConcurrencyPolicy: cron.Forbid,
		StartingDeadline:  new(10 * time.Hour),
		Job:               batch.Job{BackoffLimit: new(3), Executor: b},
	}
}

// A backup executor writes all files of root to a new archive in folder.
type backup struct {
	root   fs.FS
	folder string
}

// newBackup returns a backup of the files in root. The folder must not be among them.
func newBackup(root *os.Root, folder string) (backup, error) {
	from, err := filepath.Abs(root.Name())
	if err != nil {
		return backup{}, err
	}
	to, err := filepath.Abs(folder)
	if err != nil {
		return backup{}, err
	}
	if rel, err := filepath.Rel(from, to); err == nil && filepath.IsLocal(rel) {
		return backup{}, fmt.Errorf("-backup %s: is inside of -root %s, and would grow by itself", folder, root.Name())
	}
	return backup{root.FS(), folder}, nil
}

// Execute makes the archive of the night that the job was started for, however late it
// is, or of now if it was started by hand. Others never see half of one.
func (b backup) Execute(ctx context.Context, a batch.Attempt) (err error) {
	night, ok := cron.ScheduledTime(ctx)
	if !ok {
		night = time.Now()
	}
	file, err := os.CreateTemp(b.folder, ".backup-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			file.Close()
			os.Remove(file.Name())
		}
	}()
	n, err := b.write(ctx, file)
	if err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	name := "backup-" + night.Format("2006-01-02-1504") + ".zip"
	if err := os.Rename(file.Name(), filepath.Join(b.folder, name)); err != nil {
		return err
	}
	a.SetOutput(fmt.Sprintf("%d files in %s", n, name))
	return nil
}

// write writes the archive, and returns how many files it has.
func (b backup) write(ctx context.Context, file *os.File) (n int, err error) {
	archive := zip.NewWriter(file)
	err = fs.WalkDir(b.root, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil || !d.Type().IsRegular():
			return err
		}
		n++
		return b.add(archive, name)
	})
	if err != nil {
		return n, err
	}
	if err := archive.Close(); err != nil {
		return n, err
	}
	return n, file.Sync()
}

func (b backup) add(archive *zip.Writer, name string) error {
	from, err := b.root.Open(name)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := archive.Create(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	return err
}
