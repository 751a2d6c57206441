package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// sumsName is the file that lists the SHA-256 of every file of the tree, in
// the format of sha256sum.
const sumsName = "SHA256SUMS"

// A manifest says what an archive holds. It is written after the archive was
// verified: a shard without one has to be done again.
type manifest struct {
	Source  string  `json:"source"` // the folder that was backed up
	Shard   int     `json:"shard"`
	Of      int     `json:"of"` // how many shards the tree was divided into
	Archive string  `json:"archive"`
	Size    int64   `json:"size"`   // of the archive
	SHA256  string  `json:"sha256"` // of the archive
	Entries []entry `json:"entries"`
}

// files counts the entries with content, and their bytes.
func (m manifest) files() (n int, bytes int64) {
	for _, e := range m.Entries {
		if e.Mode.IsRegular() {
			n++
			bytes += e.Size
		}
	}
	return n, bytes
}

// describes reports whether the manifest is of this shard, unchanged.
func (m manifest) describes(s shard) bool {
	return m.Shard == s.number && m.Of == s.of &&
		slices.EqualFunc(m.Entries, s.entries, sameFingerprint)
}

// archiveIntact reports whether the archive in dir is the one that was
// verified, byte for byte.
func (m manifest) archiveIntact(ctx context.Context, dir string) (bool, error) {
	f, err := os.Open(filepath.Join(dir, m.Archive))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	hash := sha256.New()
	n, err := copyAll(ctx, hash, f, func(int64) {})
	if err != nil {
		return false, err
	}
	return n == m.Size && hex.EncodeToString(hash.Sum(nil)) == m.SHA256, nil
}

// readManifests returns the manifests in dir in order of name. One that makes
// no sense is left out, so that its shard is done again. It is an error if one
// is of another source: that backup must not be overwritten.
func readManifests(dir, source string) ([]manifest, error) {
	names, err := filepath.Glob(filepath.Join(dir, "shard-*.json"))
	if err != nil {
		return nil, err
	}
	var manifests []manifest
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		var m manifest
		if err := json.Unmarshal(text, &m); err != nil || m.Shard < 0 || m.Shard >= m.Of {
			continue
		}
		if m.Source != source {
			return nil, fmt.Errorf("%s holds a backup of %s; choose another folder with -dst", dir, m.Source)
		}
		manifests = append(manifests, m)
	}
	return manifests, nil
}

// write puts the manifest into dir.
func (m manifest) write(dir string, s shard) error {
	return writeAtomic(filepath.Join(dir, s.manifest()), func(w io.Writer) error {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "\t")
		return enc.Encode(m)
	})
}

// writeSums writes SHA256SUMS, for which all manifests are needed.
func writeSums(dir string, manifests []manifest) error {
	var files []entry
	for _, m := range manifests {
		for _, e := range m.Entries {
			if e.Mode.IsRegular() {
				files = append(files, e)
			}
		}
	}
	slices.SortFunc(files, byPath)
	return writeAtomic(filepath.Join(dir, sumsName), func(w io.Writer) error {
		for _, e := range files {
			if _, err := io.WriteString(w, sumsLine(e)); err != nil {
				return err
			}
		}
		return nil
	})
}

// sumsLine is an entry as sha256sum prints it: a line that starts with a
// backslash has a name with escapes in it.
func sumsLine(e entry) string {
	name := strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`).Replace(e.Path)
	if name != e.Path {
		return `\` + e.SHA256 + "  " + name + "\n"
	}
	return e.SHA256 + "  " + name + "\n"
}

// writeAtomic writes a file that is there either whole or as it was before,
// also after a crash: it is written under another name, flushed to the disk,
// and then renamed.
func writeAtomic(name string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".tmp*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // finds nothing once the file was renamed
	w := bufio.NewWriter(f)
	err = write(w)
	if err == nil {
		err = w.Flush()
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	return commit(f, name)
}

// commit flushes and closes a temporary file and gives it its name.
func commit(f *os.File, name string) error {
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

// syncFolder makes renames within a folder survive a crash. Windows cannot
// flush folders, and does not need it.
func syncFolder(name string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	dir, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// removeOthers removes what earlier runs have left in dir: archives of another
// division of the tree, and temporary files of a run that was killed.
func removeOthers(dir string, shards []shard) error {
	ours := make(map[string]bool)
	for _, s := range shards {
		ours[s.archive()], ours[s.manifest()] = true, true
	}
	names, err := filepath.Glob(filepath.Join(dir, "shard-*-of-*"))
	for _, name := range names {
		if !ours[filepath.Base(name)] {
			err = errors.Join(err, os.Remove(name))
		}
	}
	return err
}
