package api

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"slices"
	"sort"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/runtocompletion/batch/contrib/kube/internal/kinds"
	"github.com/runtocompletion/batch/contrib/kube/internal/watchcache"
	"github.com/runtocompletion/batch/contrib/kube/internal/wire"
)

// find returns the object that a query names, or the error that there is none.
func (a *answer) find(q *query) (*watchcache.Object, error) {
	if q.namespace == "" || q.namespace == a.server.host.Namespace {
		if o := q.kind.Objects.Object(q.name); o != nil {
			return o, nil
		}
	}
	return nil, apierrors.NewNotFound(q.kind.GroupResource(), q.name)
}

func (a *answer) get(q *query) error {
	f, err := formOf(a.Request, q, wire.AsProtobuf)
	if err != nil {
		return err
	}
	o, err := a.find(q)
	if err != nil {
		return err
	}
	return a.writeOne(http.StatusOK, f, q.kind, q.kind.Build(o))
}

// list answers with the objects of a collection, or a part of them.
func (a *answer) list(q *query) error {
	s, err := a.selection(q)
	if err != nil {
		return err
	}
	var others []wire.Shape
	if s.options.Limit > 0 { // a page fits in memory
		others = []wire.Shape{wire.AsProtobuf}
	}
	f, err := formOf(a.Request, q, others...)
	if err != nil {
		return err
	}
	objects, meta, err := a.page(s)
	if err != nil {
		return err
	}
	if f.shape == wire.AsProtobuf {
		return a.writePage(q.kind, meta, objects)
	}
	return a.writeList(q.kind, f, meta, objects)
}

// writePage answers with a list in protobuf: field 1 are its metadata, and 2 its items.
func (a *answer) writePage(k *kinds.Kind, meta metav1.ListMeta, objects iter.Seq[kinds.Object]) error {
	data, err := protobufField(nil, 1, &meta)
	for o := range objects {
		if err == nil {
			data, err = protobufField(data, 2, o.(interface{ Marshal() ([]byte, error) }))
		}
	}
	list := runtime.Unknown{Raw: data,
		TypeMeta: runtime.TypeMeta{Kind: k.Kind + "List", APIVersion: k.GroupVersion().String()}}
	text, failed := list.Marshal()
	if err := errors.Join(err, failed); err != nil {
		return apierrors.NewInternalError(err)
	}
	return a.Write(http.StatusOK, wire.Protobuf, append([]byte(protobufMagic), text...))
}

// protobufMagic is what everything begins with that API servers write in protobuf.
const protobufMagic = "k8s\x00"

func protobufField(to []byte, number byte, value interface{ Marshal() ([]byte, error) }) ([]byte, error) {
	data, err := value.Marshal()
	return append(binary.AppendUvarint(append(to, number<<3|2), uint64(len(data))), data...), err
}

// largestPage is the most objects that a list with a limit gives at once.
const largestPage = 5000

// page returns the objects that are asked for, up to the limit. Without one they
// are made as they are walked over, as there may be more than fit in memory.
func (a *answer) page(s *selection) (iter.Seq[kinds.Object], metav1.ListMeta, error) {
	snapshot := s.query.kind.Objects.List(s.jobName())
	if err := s.checkVersion(snapshot.Version); err != nil {
		return nil, metav1.ListMeta{}, err
	}
	rest, version, err := a.after(s, snapshot)
	if err != nil {
		return nil, metav1.ListMeta{}, err
	}
	meta := metav1.ListMeta{ResourceVersion: kinds.FormatVersion(version)}
	if s.options.Limit <= 0 {
		return s.walk(rest), meta, nil
	}
	limit := int(min(s.options.Limit, largestPage))
	page := make([]kinds.Object, 0, min(limit, len(rest)))
	for o := range s.walk(rest) {
		if len(page) == limit {
			meta.Continue = continueToken{continueVersion, version, page[limit-1].GetName()}.String()
			if s.isEverything() {
				meta.RemainingItemCount = new(int64(len(rest) - limit))
			}
			break
		}
		page = append(page, o)
	}
	return slices.Values(page), meta, nil
}

// walk makes those of the objects that are asked for.
func (s *selection) walk(objects []*watchcache.Object) iter.Seq[kinds.Object] {
	return func(yield func(kinds.Object) bool) {
		for _, o := range objects {
			if built := s.query.kind.Build(o); s.has(built) && !yield(built) {
				return
			}
		}
	}
}

// after returns what comes after the part of the list that the client has. All
// parts have the version of the first one: who watches from there sees what has
// changed since then, and so loses nothing.
func (a *answer) after(s *selection, snapshot watchcache.Snapshot) ([]*watchcache.Object, uint64, error) {
	if s.options.Continue == "" {
		return snapshot.Objects, snapshot.Version, nil
	}
	token, err := parseContinue(s.options.Continue)
	if err != nil {
		return nil, 0, err
	}
	if !s.query.kind.Objects.Remembers(token.ResourceVersion) {
		return nil, 0, apierrors.NewResourceExpired("The provided continue parameter is too old to display a consistent " +
			"list result. You must start a new list without the continue parameter.")
	}
	objects := snapshot.Objects
	i := sort.Search(len(objects), func(i int) bool { return objects[i].Name > token.Start })
	return objects[i:], token.ResourceVersion, nil
}

// checkVersion refuses a list as of a version that cannot be given any more, or
// not yet.
func (s *selection) checkVersion(current uint64) error {
	switch {
	case s.version > current:
		return tooLarge(s.version, current)
	case s.options.ResourceVersionMatch == metav1.ResourceVersionMatchExact && s.version != current:
		return apierrors.NewResourceExpired("The resourceVersion for the provided list is too old.")
	}
	return nil
}

// writeList writes a list item by item: as one value it would be in memory
// several times over.
func (a *answer) writeList(r *kinds.Kind, f form, meta metav1.ListMeta, objects iter.Seq[kinds.Object]) error {
	head, err := json.Marshal(f.listHead(r, meta))
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	a.Begin(http.StatusOK, wire.JSON)
	buffer := bytes.NewBuffer(head[:len(head)-len("[]}")])
	buffer.WriteByte('[')
	separator := ""
	for o := range objects {
		item, err := json.Marshal(f.item(r, o))
		if err != nil {
			panic(err) // the client must not take what it has for the wire.Whole
		}
		buffer.WriteString(separator)
		buffer.Write(item)
		separator = ","
		if buffer.Len() > writeSize {
			if a.Send(buffer.Bytes(), false) != nil {
				return nil // the client has gone
			}
			buffer.Reset()
		}
	}
	buffer.WriteString("]}\n")
	_ = a.Send(buffer.Bytes(), false) // a client that has gone needs no answer
	return nil
}

// writeSize is how much is gathered before it is written.
const writeSize = 64 << 10

// listHead is an empty list, whose last field are the items.
func (f form) listHead(r *kinds.Kind, meta metav1.ListMeta) any {
	switch f.shape {
	case wire.AsTable:
		t := newTable(r, true)
		return struct {
			metav1.TypeMeta   `json:",inline"`
			metav1.ListMeta   `json:"metadata"`
			ColumnDefinitions []metav1.TableColumnDefinition `json:"columnDefinitions"`
			Rows              []any                          `json:"rows"`
		}{t.TypeMeta, meta, t.ColumnDefinitions, []any{}}
	case wire.AsMetadata:
		return list{metav1.TypeMeta{Kind: "PartialObjectMetadataList", APIVersion: "meta.k8s.io/v1"}, meta, []any{}}
	}
	return list{metav1.TypeMeta{Kind: r.Kind + "List", APIVersion: r.GroupVersion().String()}, meta, []any{}}
}

type list struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata"`
	Items           []any `json:"items"`
}
