package kubelitetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// ErrNotBuilt: the program is not in the cache folder.
var ErrNotBuilt = errors.New("kubelite is not built: go run ./internal/kubelitetest/build")

// Binary finds the program in the user's cache folder.
func Binary() (string, error) {
	source, err := findSource()
	if err != nil {
		return "", err
	}
	path, err := pathOf(source)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%w (%s)", ErrNotBuilt, path)
	} else if err != nil {
		return "", err
	}
	return path, nil
}

// Build builds the program, unless it is there, and returns its path.
func Build(ctx context.Context) (string, error) {
	source, err := findSource()
	if err != nil {
		return "", err
	}
	path, err := pathOf(source)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	// Two builds at once do the same work and have names of their own; the last one stays.
	temp := fmt.Sprintf("%s.%d", path, os.Getpid())
	cmd := exec.CommandContext(ctx, "go", "build", "-ldflags", linkerFlags, "-o", temp, ".")
	cmd.Dir, cmd.Env = source, append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly -buildvcs=false")
	if output, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build of %s: %w\n%s", source, err, output)
	}
	if again, err := pathOf(source); err != nil || again != path {
		return "", errors.Join(err, os.Remove(temp), errors.New("the sources have changed while they were built"))
	}
	return path, os.Rename(temp, path)
}

const (
	version = "k8s.io/component-base/version"
	// Without a version, clients cannot read what the API server says of itself.
	linkerFlags = "-s -w -X " + version + ".gitVersion=v1.37.2 -X " + version + ".gitMajor=1 -X " + version +
		".gitMinor=37 -X " +
		version + ".gitTreeState=clean -X " + version + ".gitCommit=proxy -X " + version +
		".buildDate=2026-11-28T00:00:00Z"
)

// findSource finds the module above the working directory, which is that of a test.
func findSource() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		source := filepath.Join(dir, "contrib", "cluster", "kubelite")
		if _, err := os.Stat(filepath.Join(source, "go.mod")); err == nil {
			return source, nil
		}
		above := filepath.Dir(dir)
		if above == dir {
			return "", errors.New("module contrib/cluster/kubelite is in no folder above this one")
		}
		dir = above
	}
}

// pathOf is where the program belongs: the name of its folder is that of its contents.
func pathOf(source string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	h := sha256.New()
	fmt.Fprintln(h, runtime.Version(), runtime.GOARCH, linkerFlags)
	files, err := os.ReadDir(source) // sorted
	if err != nil {
		return "", err
	}
	for _, file := range files {
		if name := file.Name(); strings.HasSuffix(name, ".go") || strings.HasPrefix(name, "go.") {
			data, err := os.ReadFile(filepath.Join(source, name))
			if err != nil {
				return "", err
			}
			fmt.Fprintln(h, name, len(data))
			h.Write(data)
		}
	}
	return filepath.Join(cache, "kubelite", fmt.Sprintf("%x", h.Sum(nil)[:8]), "kubelite"), nil
}
