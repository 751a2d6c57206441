package runner

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
)

// A scratch directory is made before anything of it is stored, so a process that is
// killed may leave some that its store has no record of. Their names say which store
// it was: the next process that opens it removes what none of its attempts has.

// dirsKey is the record that has what the names of a store's directories begin with.
const dirsKey = "dirs"

// newDirsID returns what distinguishes the directories of one store from those of others.
func newDirsID() string {
	var id [8]byte
	rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}

func isDirsID(text string) bool {
	id, err := hex.DecodeString(text)
	return err == nil && len(id) == 8
}

// dirPrefix is what the names of directories begin with.
func (r *Runner) dirPrefix() string {
	if r.dirsID == "" {
		return "batch-"
	}
	return "batch-" + r.dirsID + "-"
}

// dirOf is the directory of an attempt. Its name follows from the attempt's UID, so
// that a later process finds it again.
func (j *Job) dirOf(seq int64) string {
	return filepath.Join(os.TempDir(), j.r.dirPrefix()+j.id.Job+"-"+j.id.AttemptUID(seq))
}

// removeDirLocked has a scratch directory removed, which may take long.
func (j *Job) removeDirLocked(dir string) {
	j.removals++
	j.r.enter()
	j.r.launch(func() {
		defer j.r.leave()
		err := j.r.removeAll(dir)
		j.lock()
		defer j.unlock()
		if err != nil {
			j.logLocked(slog.LevelError, "scratch directory left behind", slog.Any("error", err))
		}
		j.removals--
		j.closeIfClearedLocked()
	})
}

// removeLeftDirs removes the directories that an earlier process has left, except
// those that are in use. Until they have other names, no attempt makes one: it may be
// one of them that is repeated.
func (r *Runner) removeLeftDirs(used map[string]bool) {
	r.renaming.Add(1)
	r.enter()
	r.launch(func() {
		defer r.leave()
		left, err := r.renameLeftDirs(used)
		r.renaming.Done()
		for _, dir := range left {
			err = errors.Join(err, r.removeAll(dir))
		}
		if err != nil {
			r.Log(slog.LevelError, "scratch directories of an earlier process left behind", slog.Any("error", err))
		}
	})
}

// renameLeftDirs gives them names that no attempt has. They are still known as this
// store's, should this process end before they are removed.
func (r *Runner) renameLeftDirs(used map[string]bool) (left []string, err error) {
	parent := os.TempDir()
	folder, err := os.Open(parent)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // where there are no such directories, none is left
	}
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	names, err := folder.Readdirnames(-1)
	for _, name := range names {
		dir := filepath.Join(parent, name)
		if !strings.HasPrefix(name, r.dirPrefix()) || used[dir] {
			continue
		}
		to := filepath.Join(parent, r.dirPrefix()+newDirsID())
		if failed := os.Rename(dir, to); failed != nil {
			err = errors.Join(err, failed)
			continue
		}
		left = append(left, to)
	}
	return left, err
}

// findDirs adds the directories that attempts of a job have which was just loaded. One
// that was made before it was stored is found by its name.
func (j *Job) findDirs(used map[string]bool) {
	j.lock()
	defer j.unlock()
	for _, a := range j.engine.Live() {
		x, ok := a.Owner.(*run)
		if ok && x.kept != nil && x.kept.dir != "" {
			used[x.kept.dir] = true
			continue
		}
		if dir := j.dirOf(a.Seq); a.StartedAt != 0 && exists(dir) {
			j.ownLocked(a).keepLocked().dir = dir
			used[dir] = true
		}
	}
}
