package manifest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
)

// extensions are those of the files of a folder that are read, as by kubectl.
var extensions = []string{".json", ".yaml", ".yml"}

// Load reads the Jobs of a file, or of the manifests in a folder, but not in
// the folders in it, in the order of their names. Errors begin with the name of
// the file. See [Decode].
func Load(path string) ([]*batchv1.Job, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return loadFile(path)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var jobs []*batchv1.Job
	var errs []error
	for _, entry := range entries {
		if entry.IsDir() || !slices.Contains(extensions, filepath.Ext(entry.Name())) {
			continue
		}
		more, err := loadFile(filepath.Join(path, entry.Name()))
		jobs, errs = append(jobs, more...), append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return jobs, nil
}

func loadFile(name string) ([]*batchv1.Job, error) {
	data, err := readFile(name)
	if err != nil {
		return nil, err
	}
	jobs, err := Decode(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return jobs, nil
}

// readFile reads no more than what Decode refuses.
func readFile(name string) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, MaxSize+1))
}
