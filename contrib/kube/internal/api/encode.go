package api

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"

	"github.com/runtocompletion/batch/contrib/kube/internal/kinds"
	"github.com/runtocompletion/batch/contrib/kube/internal/watchcache"
	"github.com/runtocompletion/batch/contrib/kube/internal/wire"
)

// A form is how objects are written: as a client asked for.
type form struct {
	shape   wire.Shape
	include metav1.IncludeObjectPolicy // of a table
}

// formOf is the form that a client asks for, one of those that may have columns or others.
func formOf(r *http.Request, q *query, others ...wire.Shape) (form, error) {
	s, err := wire.Negotiate(r, append(others, wire.AsTable, wire.AsMetadata)...)
	if err != nil || s != wire.AsTable {
		return form{shape: s}, err
	}
	include, err := tableOptions(q.params)
	return form{s, include}, err
}

// one gives a single object its form. Columns says whether a table has its
// columns described.
func (f form) one(r *kinds.Kind, o kinds.Object, columns bool) any {
	switch f.shape {
	case wire.AsTable:
		t := newTable(r, columns)
		t.ResourceVersion = o.GetResourceVersion()
		t.Rows = []metav1.TableRow{f.row(r, o)}
		return t
	case wire.AsMetadata:
		return partial(o)
	}
	return o
}

// item gives an object its form within a list.
func (f form) item(r *kinds.Kind, o kinds.Object) any {
	switch f.shape {
	case wire.AsTable:
		return f.row(r, o)
	case wire.AsMetadata:
		return partial(o)
	}
	o.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{}) // the list says it
	return o
}

func (f form) row(r *kinds.Kind, o kinds.Object) metav1.TableRow {
	row := metav1.TableRow{Cells: r.Cells(o)}
	switch f.include {
	case metav1.IncludeObject:
		row.Object = runtime.RawExtension{Object: o}
	case metav1.IncludeMetadata:
		row.Object = runtime.RawExtension{Object: partial(o)}
	}
	return row
}

func newTable(r *kinds.Kind, columns bool) *metav1.Table {
	t := &metav1.Table{TypeMeta: metav1.TypeMeta{Kind: "Table", APIVersion: "meta.k8s.io/v1"}, Rows: []metav1.TableRow{}}
	if columns {
		t.ColumnDefinitions = r.Columns
	}
	return t
}

// partial is an object without anything but its metadata.
func partial(o kinds.Object) *metav1.PartialObjectMetadata {
	meta := o.(interface{ GetObjectMeta() metav1.Object }).GetObjectMeta().(*metav1.ObjectMeta)
	return &metav1.PartialObjectMetadata{
		TypeMeta:   metav1.TypeMeta{Kind: "PartialObjectMetadata", APIVersion: "meta.k8s.io/v1"},
		ObjectMeta: *meta,
	}
}

// A frame is one step of a watch.
type frame struct {
	Type   string `json:"type"`
	Object any    `json:"object"`
}

// An encodingKey tells the encodings of a change apart. Tables tell ages, so that
// they are good for a second only.
type encodingKey struct {
	kind   *kinds.Kind
	form   form
	change string
	second int64
}

func (f form) key(k *kinds.Kind, change string) any {
	key := encodingKey{kind: k, form: f, change: change}
	if f.shape == wire.AsTable {
		key.second = time.Now().Unix()
	}
	return key
}

// change writes a change as a frame of that type, once for all watchers.
func (f form) change(r *kinds.Kind, c *watchcache.Change, kind string, o *watchcache.Object) ([]byte, error) {
	return c.Encodings.Get(f.key(r, kind), func() ([]byte, error) {
		built := r.Build(o)
		built.SetResourceVersion(kinds.FormatVersion(c.Version))
		return f.frame(r, kind, built, false)
	})
}

// writeOne answers with an object, in the form asked for.
func (a *answer) writeOne(code int, f form, k *kinds.Kind, o kinds.Object) error {
	if f.shape != wire.AsProtobuf {
		return a.WriteJSON(code, wire.JSON, f.one(k, o, true))
	}
	body, err := inProtobuf(o)
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	return a.Write(code, wire.Protobuf, body)
}

// frame writes one step of a watch.
func (f form) frame(r *kinds.Kind, kind string, o kinds.Object, columns bool) ([]byte, error) {
	return f.encode(kind, f.one(r, o, columns))
}

// encode writes one step of a watch: as a line or, in protobuf, with its length before it.
func (f form) encode(kind string, o any) ([]byte, error) {
	if f.shape != wire.AsProtobuf {
		data, err := json.Marshal(frame{kind, o})
		return append(data, '\n'), err
	}
	raw, err := inProtobuf(o.(runtime.Object))
	if err != nil {
		return nil, err
	}
	event := metav1.WatchEvent{Type: kind, Object: runtime.RawExtension{Raw: raw}}
	data := binary.BigEndian.AppendUint32(nil, uint32(event.Size()))
	raw, err = event.Marshal()
	return append(data, raw...), err
}

// toProtobuf writes objects, and does not read any.
var toProtobuf = protobuf.NewSerializer(nil, nil)

func inProtobuf(o runtime.Object) ([]byte, error) {
	var buffer bytes.Buffer
	err := toProtobuf.Encode(o, &buffer)
	return buffer.Bytes(), err
}

// stream is the content type of a watch.
func (f form) stream() string {
	if f.shape == wire.AsProtobuf {
		return wire.Protobuf + ";stream=watch"
	}
	return wire.JSON
}

const (
	// keptBundles is how many bundles are kept: watchers that are woken up
	// together ask for the same one within a moment.
	keptBundles = 16
	// longestBundle is how many changes a bundle has at most.
	longestBundle = 1000
)

// bundles are what watchers that see everything were last sent, so that a
// thousand of them cost little more than one.
type bundles struct {
	mu   sync.Mutex // guards the fields below
	kept [keptBundles]*bundle
	next int // which one is replaced next
}

// A bundle is a row of changes, written in one form.
type bundle struct {
	key  bundleKey
	once sync.Once
	data []byte
	err  error
}

// A bundleKey tells bundles apart: which changes, and in which form.
type bundleKey struct {
	resource    *kinds.Kind
	form        form
	from, until uint64
}

// get returns a bundle of changes as the frames that they are sent as.
func (b *bundles) get(key bundleKey, changes []*watchcache.Change) ([]byte, error) {
	kept := b.find(key)
	kept.once.Do(func() { kept.data, kept.err = key.form.changes(key.resource, changes) })
	return kept.data, kept.err
}

func (b *bundles) find(key bundleKey) *bundle {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, kept := range b.kept {
		if kept != nil && kept.key == key {
			return kept
		}
	}
	made := &bundle{key: key}
	b.kept[b.next] = made
	b.next = (b.next + 1) % keptBundles
	return made
}

// changes writes changes for somebody who sees everything.
func (f form) changes(r *kinds.Kind, changes []*watchcache.Change) ([]byte, error) {
	var data []byte
	for _, c := range changes {
		frame, err := f.change(r, c, string(c.Type), c.Object)
		if err != nil {
			return nil, err
		}
		data = append(data, frame...)
	}
	return data, nil
}
