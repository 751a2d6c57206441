// Package fieldmanager records who set which fields of a job, and applies
// manifests by it: server-side apply.
package fieldmanager

import (
	_ "embed"
	"errors"
	"fmt"
	"sync"

	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/typed"
)

// schema says which lists of a Job are sets or maps, so that managers can own
// single items of them.
//
//go:embed schema.yaml
var schema typed.YAMLObject

// A Manager keeps the managed fields of jobs. Its methods may be called by
// several goroutines at once.
type Manager struct {
	scheme *runtime.Scheme
	load   func() (*managedfields.FieldManager, error)
}

// New returns a manager for jobs as scheme knows them. Reading the schema takes a
// while, and is put off until it is needed.
func New(scheme *runtime.Scheme) *Manager {
	m := &Manager{scheme: scheme}
	m.load = sync.OnceValues(m.open)
	return m
}

func (m *Manager) open() (*managedfields.FieldManager, error) {
	parser, err := typed.NewParser(schema)
	if err != nil {
		return nil, fmt.Errorf("schema of jobs: %w", err)
	}
	gvk := batchv1.SchemeGroupVersion.WithKind("Job")
	status := fieldpath.NewExcludeSetFilter(fieldpath.NewSet(fieldpath.MakePathOrDie("status")))
	return managedfields.NewDefaultFieldManager(converter{parser.Type("io.k8s.api.batch.v1.Job")}, m.scheme, m.scheme, m.scheme,
		gvk, gvk.GroupVersion(), "", map[fieldpath.APIVersion]fieldpath.Filter{
			fieldpath.APIVersion(gvk.GroupVersion().String()): status})
}

// Created records that a manager created a job.
func (m *Manager) Created(job *batchv1.Job, manager string) error {
	return m.Updated(&batchv1.Job{TypeMeta: typeMeta()}, job, manager)
}

// Updated records what a manager changed of a job.
func (m *Manager) Updated(live, updated *batchv1.Job, manager string) error {
	fields, err := m.load()
	if err != nil {
		return err
	}
	updated.TypeMeta, live = typeMeta(), live.DeepCopy()
	live.TypeMeta = typeMeta()
	result, err := fields.Update(live, updated, manager)
	if err != nil {
		return apierrors.NewBadRequest(fmt.Sprintf("failed to update managed fields: %v", err))
	}
	job, ok := result.(*batchv1.Job)
	if !ok {
		return fmt.Errorf("managed fields of %T", result)
	}
	updated.ManagedFields = job.ManagedFields
	return nil
}

// Applied returns what a job becomes when a manager applies a manifest to it. The
// error is a conflict if that would take fields from other managers, unless it
// is forced to.
func (m *Manager) Applied(live *batchv1.Job, manifest map[string]any, manager string, force bool) (*batchv1.Job, error) {
	fields, err := m.load()
	if err != nil {
		return nil, err
	}
	result, err := fields.Apply(live.DeepCopy(), &unstructured.Unstructured{Object: manifest}, manager, force)
	if status, ok := errors.AsType[*apierrors.StatusError](err); ok {
		return nil, status
	}
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	if job, ok := result.(*batchv1.Job); ok {
		return job, nil
	}
	job := new(batchv1.Job)
	if err := m.scheme.Convert(result, job, nil); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	return job, nil
}
