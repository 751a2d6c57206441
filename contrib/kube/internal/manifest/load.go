package manifest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// extensions are those of the files of a folder that are read, as by kubectl.
var extensions = []string{".json", ".yaml", ".yml"}

// Load reads the objects of a file, or of the manifests in a folder, but not in
// the folders in it, in the order of their names. Errors begin with the name of
// the file. See [Decode].
func Load(path string) (o Objects, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return o, err
	}
	if !info.IsDir() {
		return loadFile(path)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return o, err
	}
	var errs []error
	for _, entry := range entries {
		if entry.IsDir() || !slices.Contains(extensions, filepath.Ext(entry.Name())) {
			continue
		}
		more, err := loadFile(filepath.Join(path, entry.Name()))
		o.Jobs = append(o.Jobs, more.Jobs...)
		o.ConfigMaps, o.Secrets = append(o.ConfigMaps, more.ConfigMaps...), append(o.Secrets, more.Secrets...)
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return Objects{}, err
	}
	return o, nil
}

func loadFile(name string) (o Objects, err error) {
	data, err := readFile(name)
	if err == nil {
		o, err = Decode(data)
	}
	if err != nil {
		return o, fmt.Errorf("%s: %w", name, err)
	}
	return o, nil
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
