package main

import (
	"archive/zip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// publish makes a module proxy in a folder, as a GOPROXY=file://… reads it, with
// the modules as they are in the checkout.
func publish(modules []*module, folder string) error {
	for _, m := range modules {
		if err := m.publish(filepath.Join(folder, filepath.FromSlash(m.Path), "@v"), modules); err != nil {
			return fmt.Errorf("publish %s: %w", m.Path, err)
		}
	}
	return nil
}

func (m *module) publish(folder string, all []*module) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	info, err := json.Marshal(map[string]any{"Version": m.Version, "Time": time.Now().UTC()})
	if err != nil {
		return err
	}
	mod, err := os.ReadFile(filepath.Join(m.Dir, "go.mod"))
	if err != nil {
		return err
	}
	files, err := m.files(all)
	if err != nil {
		return err
	}
	name := filepath.Join(folder, m.Version)
	return errors.Join(
		os.WriteFile(filepath.Join(folder, "list"), []byte(m.Version+"\n"), 0o644),
		os.WriteFile(name+".info", info, 0o644),
		os.WriteFile(name+".mod", mod, 0o644),
		m.pack(name+".zip", files),
	)
}

// files are those of the module that git knows, or would add, without those of
// modules within it.
func (m *module) files(all []*module) ([]string, error) {
	cmd := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir, cmd.Stderr = m.Dir, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("git ls-files: %w", err)
	}
	var files []string
	for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		if !isOfAnother(filepath.Join(m.Dir, name), m, all) {
			files = append(files, name)
		}
	}
	return files, nil
}

func isOfAnother(file string, m *module, all []*module) bool {
	for _, other := range all {
		if len(other.Dir) > len(m.Dir) && strings.HasPrefix(file, other.Dir+string(filepath.Separator)) {
			return true
		}
	}
	return false
}

// pack puts files into an archive of the form that the go command wants.
func (m *module) pack(path string, files []string) (err error) {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	archive := zip.NewWriter(file)
	for _, name := range files {
		if err := add(archive, m.Path+"@"+m.Version+"/"+filepath.ToSlash(name), filepath.Join(m.Dir, name)); err != nil {
			return err
		}
	}
	return archive.Close()
}

func add(archive *zip.Writer, name, path string) error {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) { // removed, and not committed yet
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	w, err := archive.Create(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, file)
	return err
}
