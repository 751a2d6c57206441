// Package fieldmanager records who set which fields of an object, and applies
// manifests by it: server-side apply.
package fieldmanager

import (
	_ "embed"
	"errors"
	"fmt"
	"reflect"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/typed"
)

// lists says which lists of an object are sets or maps, so that managers can own
// single items of them. It has the types of all kinds that can be written.
//
//go:embed schema.yaml
var lists typed.YAMLObject

var parser = sync.OnceValues(func() (*typed.Parser, error) { return typed.NewParser(lists) })

// An Object is one whose fields have managers.
type Object interface {
	runtime.Object
	metav1.Object
}

// A Manager keeps the managed fields of the objects of one kind. Its methods may
// be called by several goroutines at once.
type Manager struct {
	scheme *runtime.Scheme
	kind   schema.GroupVersionKind
	empty  Object
	part   string
	load   func() (*managedfields.FieldManager, error)
}

// New returns a manager for a kind that scheme knows, or for the part "status" of it: who
// writes one of both cannot own fields of the other. Reading its schema takes a
// while, and is put off until it is needed.
func New(scheme *runtime.Scheme, kind schema.GroupVersionKind, empty Object, part string) *Manager {
	m := &Manager{scheme: scheme, kind: kind, empty: empty, part: part}
	m.load = sync.OnceValues(m.open)
	return m
}

func (m *Manager) open() (*managedfields.FieldManager, error) {
	parser, err := parser()
	if err != nil {
		return nil, fmt.Errorf("schema of managed fields: %w", err)
	}
	model := reflect.Zero(reflect.TypeOf(m.empty).Elem()).Interface()
	name := model.(interface{ OpenAPIModelName() string }).OpenAPIModelName()
	other := map[string]string{"": "status", "status": "spec"}[m.part]
	filter := fieldpath.NewExcludeSetFilter(fieldpath.NewSet(fieldpath.MakePathOrDie(other)))
	return managedfields.NewDefaultFieldManager(converter{parser.Type(name)}, m.scheme, m.scheme, m.scheme,
		m.kind, m.kind.GroupVersion(), m.part, map[fieldpath.APIVersion]fieldpath.Filter{
			fieldpath.APIVersion(m.kind.GroupVersion().String()): filter})
}

// New returns an object that has nothing but its kind.
func (m *Manager) New() Object {
	o := m.empty.DeepCopyObject().(Object)
	o.GetObjectKind().SetGroupVersionKind(m.kind)
	return o
}

// Updated records what a manager changed of an object.
func (m *Manager) Updated(live, updated Object, manager string) error {
	fields, err := m.load()
	if err != nil {
		return err
	}
	before := live.DeepCopyObject()
	updated.GetObjectKind().SetGroupVersionKind(m.kind)
	before.GetObjectKind().SetGroupVersionKind(m.kind)
	result, err := fields.Update(before, updated, manager)
	if err != nil {
		return apierrors.NewBadRequest(fmt.Sprintf("failed to update managed fields: %v", err))
	}
	managed, ok := result.(Object)
	if !ok {
		return fmt.Errorf("managed fields of %T", result)
	}
	updated.SetManagedFields(managed.GetManagedFields())
	return nil
}

// Applied returns what an object becomes when a manager applies a manifest to it.
// The error is a conflict if that would take fields from other managers, unless
// it is forced to.
func (m *Manager) Applied(live Object, manifest map[string]any, manager string, force bool) (Object, error) {
	fields, err := m.load()
	if err != nil {
		return nil, err
	}
	result, err := fields.Apply(live.DeepCopyObject(), &unstructured.Unstructured{Object: manifest}, manager, force)
	if status, ok := errors.AsType[*apierrors.StatusError](err); ok {
		return nil, status
	}
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	if reflect.TypeOf(result) == reflect.TypeOf(m.empty) {
		return result.(Object), nil
	}
	o := m.New()
	if err := m.scheme.Convert(result, o, nil); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	return o, nil
}

// A converter turns objects into values whose fields the schema knows, and back.
type converter struct{ kind typed.ParseableType }

// ObjectToTyped implements managedfields.TypeConverter.
func (c converter) ObjectToTyped(o runtime.Object, options ...typed.ValidationOptions) (*typed.TypedValue, error) {
	if u, ok := o.(*unstructured.Unstructured); ok {
		return c.kind.FromUnstructured(u.UnstructuredContent(), options...)
	}
	return c.kind.FromStructured(o, options...)
}

// TypedToObject implements managedfields.TypeConverter.
func (c converter) TypedToObject(value *typed.TypedValue) (runtime.Object, error) {
	if content, ok := value.AsValue().Unstructured().(map[string]any); ok {
		return &unstructured.Unstructured{Object: content}, nil
	}
	return nil, fmt.Errorf("an object is no %T", value.AsValue().Unstructured())
}
