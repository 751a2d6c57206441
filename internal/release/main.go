// Command release proves that the modules of this checkout can be had by others
// once they are tagged. A module that requires another one of the checkout names
// a version of it, and go.work has the folder: the version need not be published
// yet.
//
//	go run ./internal/release           # get, build and run each module of contrib
//	go run ./internal/release FOLDER    # only make a module proxy in FOLDER
//
// To make a release, set the version that all go.mod files and go.work name, with
// a commit, and tag that commit once for each module: v0.2.0,
// contrib/boltstore/v0.2.0, and so on.
package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	modules, err := load()
	if err != nil {
		return err
	}
	if len(args) > 0 {
		return publish(modules, args[0])
	}
	temp, err := os.MkdirTemp("", "release-")
	if err != nil {
		return err
	}
	return errors.Join(prove(modules, temp), os.RemoveAll(temp))
}

// A module is one of the checkout.
type module struct {
	Path, Dir string
	Version   string // that others require, or would
}

// load finds the modules of the workspace. All that are required must be so in one
// version, which is that of all.
func load() ([]*module, error) {
	var modules []*module
	list, err := output(".", "list", "-m", "-f", "{{.Path}} {{.Dir}}")
	if err != nil {
		return nil, err
	}
	own := make(map[string]*module)
	for line := range strings.Lines(list) {
		path, dir, _ := strings.Cut(strings.TrimSpace(line), " ")
		m := &module{Path: path, Dir: dir}
		modules = append(modules, m)
		own[path] = m
	}
	release := ""
	for _, m := range modules {
		required, err := requirements(m)
		if err != nil {
			return nil, err
		}
		for path, version := range required {
			if own[path] == nil {
				continue
			}
			if release = cmp.Or(release, version); version != release {
				return nil, fmt.Errorf("%s requires %s %s, and others require %s", m.Path, path, version, release)
			}
		}
	}
	for _, m := range modules {
		m.Version = release
	}
	return modules, nil
}

// requirements are what the go.mod of a module requires. It may not replace
// anything: that would hold in this checkout only.
func requirements(m *module) (map[string]string, error) {
	text, err := output(m.Dir, "mod", "edit", "-json")
	if err != nil {
		return nil, err
	}
	var mod struct {
		Require []struct{ Path, Version string }
		Replace []struct{ Old struct{ Path string } }
	}
	if err := json.Unmarshal([]byte(text), &mod); err != nil {
		return nil, err
	}
	if len(mod.Replace) > 0 {
		return nil, fmt.Errorf("%s replaces %s", m.Path, mod.Replace[0].Old.Path)
	}
	required := make(map[string]string)
	for _, r := range mod.Require {
		required[r.Path] = r.Version
	}
	return required, nil
}

// output is what the go command prints.
func output(dir string, args ...string) (string, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
	}
	return string(out), nil
}

// prove gets each module of contrib as others would, with a program that uses it.
func prove(modules []*module, temp string) error {
	proxy, cache := filepath.Join(temp, "proxy"), filepath.Join(temp, "modules")
	if err := publish(modules, proxy); err != nil {
		return err
	}
	known, err := output(".", "env", "GOMODCACHE", "GOPROXY")
	if err != nil {
		return err
	}
	downloaded, next, _ := strings.Cut(strings.TrimSpace(known), "\n")
	env := append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod -modcacherw -trimpath", "GOSUMDB=off", "GOMODCACHE="+cache,
		"GOPROXY="+strings.Join([]string{fileURL(proxy), fileURL(filepath.Join(downloaded, "cache", "download")), next}, ","))
	for _, m := range modules {
		if folder, name := filepath.Split(m.Path); strings.HasSuffix(folder, "/contrib/") {
			if err := use(m, filepath.Join(temp, name), env); err != nil {
				return fmt.Errorf("%s %s: %w", m.Path, m.Version, err)
			}
			fmt.Println(m.Path, m.Version, "can be used")
		}
	}
	return nil
}

func fileURL(path string) string { return "file://" + filepath.ToSlash(path) }

// use makes a module of a program that uses m, and runs it.
func use(m *module, dir string, env []string) error {
	program, err := os.ReadFile(filepath.Join("internal", "release", "testdata", filepath.Base(m.Path)+".go"))
	if err != nil {
		return fmt.Errorf("a program that uses it: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "main.go"), program, 0o644); err != nil {
		return err
	}
	for _, args := range [][]string{{"mod", "init", "example.com/user"}, {"get", m.Path + "@" + m.Version}, {"run", "."}} {
		cmd := exec.Command("go", args...)
		cmd.Dir, cmd.Env = dir, env
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("go %s: %w: %s", strings.Join(args, " "), err, out)
		}
	}
	return nil
}
