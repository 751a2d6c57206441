package fieldmanager

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/structured-merge-diff/v6/typed"
)

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
