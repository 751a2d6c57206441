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
	"slices"
	"strings"
	"time"
)

// publish makes a module proxy in a folder, as a GOPROXY=file://… reads it, with
// the modules as they are in the checkout.
func publish(modules []*module, folder string) error {
	for _, m := range modules {
		if err := m.publish(filepath.Join(folder, filepath.FromSlash(m.Path), "@v")); err != nil {
			return fmt.Errorf("publish %s: %w", m.Path, err)
		}
	}
	return nil
}

func (m *module) publish(folder string) error {
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
	files, err := m.files()
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
func (m *module) files() ([]string, error) {
	cmd := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir, cmd.Stderr = m.Dir, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("git ls-files: %w", err)
	}
	names := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	var within []string // the folders of those modules, also if they are not in the workspace
	for _, name := range names {
		if folder, ok := strings.CutSuffix(name, "go.mod"); ok && strings.HasSuffix(folder, "/") {
			within = append(within, folder)
		}
	}
	return slices.DeleteFunc(names, func(name string) bool {
		return slices.ContainsFunc(within, func(folder string) bool { return strings.HasPrefix(name, folder) })
	}), nil
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
