package api

import (
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/runtocompletion/batch/contrib/kube/internal/table"
	"github.com/runtocompletion/batch/contrib/kube/internal/watchcache"
)

// An object is what a resource consists of.
type object interface {
	runtime.Object
	metav1.Object
}

// A resource is one row of what discovery tells.
type resource struct {
	group, version, kind   string
	name, singular         string
	namespaced             bool
	shortNames, categories []string
	verbs                  []string // those that are offered; the rest is refused
	subresources           []subresource

	// The rest is of resources that hold objects.
	cached  watchcache.Kind
	static  []*watchcache.Object // the objects, if they never change
	empty   object
	build   func(*watchcache.Object) object
	columns []metav1.TableColumnDefinition
	cells   func(object) []any
	// selectable gives the fields that a selector may ask for; unselectable is
	// the error for another one.
	selectable   func(object) fields.Set
	unselectable string
}

// A subresource is a part of a resource with a path of its own.
type subresource struct {
	name  string
	verbs []string
}

func (r *resource) groupResource() schema.GroupResource {
	return schema.GroupResource{Group: r.group, Resource: r.name}
}

func (r *resource) groupVersion() schema.GroupVersion {
	return schema.GroupVersion{Group: r.group, Version: r.version}
}

func (r *resource) can(verb string) bool { return slices.Contains(r.verbs, verb) }

// The verbs of resources that can be looked at, and of jobs.
var (
	readVerbs = []string{"get", "list", "watch"}
	podVerbs  = []string{"delete", "deletecollection", "get", "list", "watch"}
	jobVerbs  = []string{"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}
)

// served is the table of all resources. It is the same in every version and for
// every configuration: clients keep it for hours.
func (s *Server) served() []*resource {
	return []*resource{
		{version: "v1", kind: "Event", name: "events", singular: "event", namespaced: true,
			shortNames: []string{"ev"}, verbs: readVerbs, cached: watchcache.Events, empty: new(corev1.Event), build: s.buildEvent,
			columns: table.EventColumns, cells: cellsOf(table.Event), selectable: eventFields,
			unselectable: "field label not supported: %s"},
		{version: "v1", kind: "Namespace", name: "namespaces", singular: "namespace",
			shortNames: []string{"ns"}, verbs: readVerbs,
			static: []*watchcache.Object{{Name: s.config.Namespace, Version: s.started}}, empty: new(corev1.Namespace), build: s.buildNamespace,
			columns: table.NamespaceColumns, cells: cellsOf(table.Namespace), selectable: namespaceFields,
			unselectable: "field label not supported: %s"},
		{version: "v1", kind: "Pod", name: "pods", singular: "pod", namespaced: true,
			shortNames: []string{"po"}, categories: []string{"all"}, verbs: podVerbs, cached: watchcache.Pods, empty: new(corev1.Pod), build: s.buildPod,
			columns: table.PodColumns, cells: cellsOf(table.Pod), selectable: podFields,
			unselectable: "field label not supported: %s",
			subresources: []subresource{{"log", []string{"get"}}}},
		{group: "batch", version: "v1", kind: "Job", name: "jobs", singular: "job", namespaced: true,
			categories: []string{"all"}, verbs: jobVerbs, cached: watchcache.Jobs, empty: new(batchv1.Job), build: s.buildJob,
			columns: table.JobColumns, cells: cellsOf(table.Job), selectable: jobFields,
			unselectable: "field label %q not supported for batchv1.Job",
			subresources: []subresource{{"status", []string{"get"}}}},
		{group: "authentication.k8s.io", version: "v1", kind: "SelfSubjectReview", name: "selfsubjectreviews",
			singular: "selfsubjectreview", verbs: []string{"create"}},
		{group: "authorization.k8s.io", version: "v1", kind: "SelfSubjectAccessReview", name: "selfsubjectaccessreviews",
			singular: "selfsubjectaccessreview", verbs: []string{"create"}},
		{group: "authorization.k8s.io", version: "v1", kind: "SelfSubjectRulesReview", name: "selfsubjectrulesreviews",
			singular: "selfsubjectrulesreview", verbs: []string{"create"}},
	}
}

// cellsOf adapts the printer of one kind.
func cellsOf[T object](print func(T) []any) func(object) []any {
	return func(o object) []any { return print(o.(T)) }
}

// find returns the resource of that name, or nil.
func (s *Server) find(group, version, name string) *resource {
	for _, r := range s.resources {
		if r.group == group && r.version == version && r.name == name {
			return r
		}
	}
	return nil
}

// convertField refuses to select by a field that the resource does not have.
func (r *resource) convertField(known fields.Set) func(label, value string) (string, string, error) {
	return func(label, value string) (string, string, error) {
		if _, ok := known[label]; ok {
			return label, value, nil
		}
		return "", "", fmt.Errorf(r.unselectable, label)
	}
}
