package fieldmanager

import (
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/structured-merge-diff/v6/typed"
)

// A converter turns jobs into values whose fields the schema knows, and back.
type converter struct{ job typed.ParseableType }

// ObjectToTyped implements managedfields.TypeConverter.
func (c converter) ObjectToTyped(o runtime.Object, options ...typed.ValidationOptions) (*typed.TypedValue, error) {
	if u, ok := o.(*unstructured.Unstructured); ok {
		return c.job.FromUnstructured(u.UnstructuredContent(), options...)
	}
	return c.job.FromStructured(o, options...)
}

// TypedToObject implements managedfields.TypeConverter.
func (c converter) TypedToObject(value *typed.TypedValue) (runtime.Object, error) {
	if content, ok := value.AsValue().Unstructured().(map[string]any); ok {
		return &unstructured.Unstructured{Object: content}, nil
	}
	return nil, fmt.Errorf("a job is no %T", value.AsValue().Unstructured())
}

func typeMeta() metav1.TypeMeta {
	return metav1.TypeMeta{Kind: "Job", APIVersion: batchv1.SchemeGroupVersion.String()}
}
