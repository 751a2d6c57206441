// Package manifest reads Jobs of batch/v1, and what they need, from YAML and JSON, as strictly as the
// API server of Kubernetes reads what kubectl sends it.
package manifest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// MaxSize is how many bytes [Decode] reads at most.
const MaxSize = 16 << 20

// Objects are what manifests hold: kube.Objects.
type Objects struct {
	Jobs       []*batchv1.Job
	ConfigMaps []*corev1.ConfigMap
	Secrets    []*corev1.Secret
}

// Decode reads objects: YAML documents, or JSON values one after the other. A List,
// or JobList, stands for its items. The error tells of everything that is wrong,
// by document and path: fields that do not exist or are there twice, values of
// the wrong type, objects of other kinds. There is nothing then but the error.
func Decode(data []byte) (o Objects, err error) {
	if len(data) > MaxSize {
		return o, fmt.Errorf("manifest of %d bytes: at most %d are read", len(data), MaxSize)
	}
	documents, err := split(data)
	if err != nil {
		return o, err
	}
	var d decoder
	for i, document := range documents {
		d.where = ""
		if len(documents) > 1 {
			d.where = fmt.Sprintf("document %d: ", i+1)
		}
		d.document(document)
	}
	if err := errors.Join(d.errs...); err != nil {
		return o, err
	}
	return d.objects, nil
}

// split takes the input apart, at lines of ---, and what begins like JSON into its
// values.
func split(data []byte) ([][]byte, error) {
	var documents [][]byte
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
	for {
		document, err := reader.Read()
		if err == io.EOF {
			return documents, nil
		}
		if err != nil {
			return nil, err
		}
		documents = append(documents, splitJSON(document)...)
	}
}

// splitJSON returns the values in data. If these are not all JSON, it may be YAML,
// which is one document.
func splitJSON(data []byte) [][]byte {
	if !bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("{")) {
		return [][]byte{data}
	}
	var documents [][]byte
	stream := json.NewDecoder(bytes.NewReader(data))
	for {
		var document json.RawMessage
		err := stream.Decode(&document)
		if err == io.EOF {
			return documents
		}
		if err != nil {
			return [][]byte{data}
		}
		documents = append(documents, document)
	}
}

// A decoder collects what there is in several documents.
type decoder struct {
	where   string // what errors begin with
	depth   int    // of lists within lists
	objects Objects
	errs    []error
}

func (d *decoder) fail(err error) { d.errs = append(d.errs, fmt.Errorf("%s%w", d.where, err)) }

func (d *decoder) document(document []byte) {
	if json.Valid(document) {
		d.object(document, nil)
		return
	}
	doubled, err := doubledKeys(document)
	if err != nil {
		d.fail(err)
		return
	}
	text, err := yaml.YAMLToJSON(document)
	if err != nil {
		d.fail(err)
		return
	}
	if !bytes.Equal(text, []byte("null")) { // nothing but comments
		d.object(text, doubled)
	}
}

// object reads one object of JSON; what was found wrong with its YAML is added
// to what is.
func (d *decoder) object(text []byte, strict []error) {
	var o metav1.PartialObjectMetadata
	if err := kjson.UnmarshalCaseSensitivePreserveInts(text, &o.TypeMeta); err != nil {
		d.fail(err)
		return
	}
	switch kind := o.APIVersion + " " + o.Kind; kind {
	case "batch/v1 Job":
		read(d, &d.objects.Jobs, text, strict)
	case "v1 ConfigMap":
		read(d, &d.objects.ConfigMaps, text, strict)
	case "v1 Secret":
		read(d, &d.objects.Secrets, text, strict)
	case "v1 List", "batch/v1 JobList":
		d.list(text, strict)
	case " ":
		d.fail(errors.New("apiVersion and kind are missing: batch/v1 and Job are wanted"))
	default:
		_ = kjson.UnmarshalCaseSensitivePreserveInts(text, &o) // for its name, if it has one
		d.fail(fmt.Errorf("%s %q cannot be run: only a Job of batch/v1 can", kind, o.Name))
	}
}

// read adds one object to a list.
func read[T any](d *decoder, list *[]*T, text []byte, strict []error) {
	if m := new(T); d.strictly(text, m, strict) {
		*list = append(*list, m)
	}
}

// strictly reads text into object, and reports whether nothing is wrong with it.
func (d *decoder) strictly(text []byte, object any, strict []error) bool {
	unknown, err := kjson.UnmarshalStrict(text, object)
	if err != nil {
		d.fail(err)
		return false
	}
	if strict = append(strict, unknown...); len(strict) > 0 {
		d.fail(runtime.NewStrictDecodingError(strict))
		return false
	}
	return true
}

// A list is a List of v1, or a JobList of batch/v1.
type list struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata"`
	Items           []json.RawMessage `json:"items"`
}

// maxDepth is how many lists may be within each other: each one is read once more
// for every list that it is in.
const maxDepth = 4

// list reads the items of a list, which say themselves what they are, unless
// it is a JobList.
func (d *decoder) list(text []byte, strict []error) {
	var l list
	if !d.strictly(text, &l, strict) {
		return
	}
	where := d.where
	d.depth++
	defer func() { d.where, d.depth = where, d.depth-1 }()
	if d.depth > maxDepth {
		d.fail(fmt.Errorf("more than %d lists within each other", maxDepth))
		return
	}
	for i, item := range l.Items {
		d.where = fmt.Sprintf("%sitems[%d]: ", where, i)
		if l.Kind == "JobList" {
			d.jobOfList(item)
		} else {
			d.object(item, nil)
		}
	}
}

// jobOfList reads a Job that need not say that it is one.
func (d *decoder) jobOfList(item []byte) {
	n := len(d.objects.Jobs)
	read(d, &d.objects.Jobs, item, nil)
	for _, m := range d.objects.Jobs[n:] {
		switch m.TypeMeta {
		case metav1.TypeMeta{}:
			m.TypeMeta = metav1.TypeMeta{APIVersion: "batch/v1", Kind: "Job"}
		case metav1.TypeMeta{APIVersion: "batch/v1", Kind: "Job"}:
		default:
			d.fail(fmt.Errorf("%s %s is no Job of batch/v1", m.APIVersion, m.Kind))
		}
	}
}

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
