// Package kinds is the registry of what is served: each kind of objects with its
// verbs, its columns, and how its objects are made, changed and deleted. A kind is
// one row, in a file of its own.
package kinds

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/cron"
	"github.com/runtocompletion/batch/contrib/kube/internal/convert"
	"github.com/runtocompletion/batch/contrib/kube/internal/fieldmanager"
	"github.com/runtocompletion/batch/contrib/kube/internal/watchcache"
	"github.com/runtocompletion/batch/contrib/kube/internal/wire"
)

// An Object is what a kind consists of.
type Object = fieldmanager.Object

// A Host is what the kinds show and change.
type Host struct {
	Controller *batch.Controller
	CronJobs   *cron.Controller // nil: they are not served
	Runner     *convert.Runner
	Namespace  string
	Write      bool // what changes jobs is open
	Known      bool // users are authenticated
	Started    uint64
	Cache      *watchcache.Cache
	Streams    wire.Streams
	Scheme     *runtime.Scheme
}

// A Kind is one row of the registry, and of what discovery tells.
type Kind struct {
	schema.GroupVersionKind
	Plural, Singular       string
	Namespaced             bool
	ShortNames, Categories []string
	Verbs                  []string // those that are offered; the rest is refused
	Parts                  []Part

	// Review answers a question that is asked by creating it. The rest is of
	// kinds that have objects.
	Review func(a *wire.Answer, fieldValidation string) error

	Objects *watchcache.View
	Empty   Object
	Build   func(*watchcache.Object) Object
	Columns []metav1.TableColumnDefinition
	Cells   func(Object) []any
	// Fields gives what a selector may ask for; NoField is the error for
	// something else. Label, unless it is nil, translates the names in selectors.
	Fields  func(Object) fields.Set
	NoField string
	Label   func(string) string
	// JobName is the only job that the objects can belong to, if selectors say so:
	// then others need not be looked at. Nil never knows.
	JobName func(labels.Selector, fields.Selector) string

	// Writer is nil if objects can be neither created nor changed, and Delete if
	// they cannot be deleted.
	Writer Writer
	Delete func(a *wire.Answer, o *watchcache.Object, options *metav1.DeleteOptions) (*watchcache.Object, error)
}

// A Part is a subresource: a part of an object with a path of its own.
type Part struct {
	Name string
	// Verbs are what Serve answers. If there are none, clients ask for it in vain,
	// and discovery does not tell of it.
	Verbs []string
	Serve func(a *wire.Answer, o *watchcache.Object, params url.Values) error
	// Writer, if Serve is nil, changes the part by the verbs of whole objects, unless
	// Refuse says why it does not change that of an object.
	Writer Writer
	Refuse func(o *watchcache.Object) error
	// Kind is what is sent there; empty means the object's own.
	Kind schema.GroupVersionKind
	// Instead says why there are no other verbs, and what to do.
	Instead string
}

// A Writer creates and changes the objects of a kind. What a manifest asks for is
// warned about by Answer.Warn.
type Writer interface {
	// Managed records who has set which fields.
	Managed() *fieldmanager.Manager
	// Prepare removes what only a server may say of a new object.
	Prepare(a *wire.Answer, m Object)
	// Default fills in what a manifest leaves out.
	Default(m Object)
	// Create creates an object of a manifest that has its defaults, and returns it;
	// dry, it only says what that would look like.
	Create(a *wire.Answer, m Object, dry bool) (Object, error)
	// Complete puts into an update what only a server may say, and its defaults.
	Complete(a *wire.Answer, updated, live Object)
	// Check refuses what may not change, or cannot here.
	Check(a *wire.Answer, updated, live Object) error
	// Change makes an object what modify returns, while nobody else changes it.
	Change(ctx context.Context, name string, modify func() (Object, error)) error
}

// The verbs of kinds that can be looked at, and more.
var (
	getVerb   = []string{"get"}
	ReadVerbs = []string{"get", "list", "watch"}
	podVerbs  = []string{"delete", "deletecollection", "get", "list", "watch"}
	jobVerbs  = []string{"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}
)

// All returns the registry. It is the same in every version and for every
// configuration, but for CronJobs: clients keep it for hours. Kinds of one group stand
// together.
func (h *Host) All() []*Kind {
	var all []*Kind
	all = []*Kind{h.events(), h.namespaces(), h.pods()}
	if h.CronJobs != nil {
		all = append(all, h.cronJobs())
	}
	all = append(all, h.jobs(), h.newEvents())
	all = append(all, h.reviews(func() []*Kind { return all })...)
	return all
}

// GroupResource is how errors call the kind.
func (k *Kind) GroupResource() schema.GroupResource {
	return schema.GroupResource{Group: k.Group, Resource: k.Plural}
}

// Can reports whether a verb is offered.
func (k *Kind) Can(verb string) bool { return slices.Contains(k.Verbs, verb) }

// New returns an empty object.
func (k *Kind) New() Object { return k.Empty.DeepCopyObject().(Object) }

// Part returns a part by name, or nil.
func (k *Kind) Part(name string) *Part {
	for i := range k.Parts {
		if k.Parts[i].Name == name {
			return &k.Parts[i]
		}
	}
	return nil
}

// Attributes are what selectors look at.
type Attributes struct {
	Labels labels.Set
	Fields fields.Set
}

// AttributesOf are those of an object.
func (k *Kind) AttributesOf(o Object) Attributes { return Attributes{o.GetLabels(), k.Fields(o)} }

// ConvertField refuses to select by a field that the kind does not have.
func (k *Kind) ConvertField(label, value string) (string, string, error) {
	name := label
	if k.Label != nil {
		name = k.Label(label)
	}
	if _, ok := k.Fields(k.Empty)[name]; ok {
		return name, value, nil
	}
	return "", "", fmt.Errorf(k.NoField, label)
}

// FormatVersion is a version as objects have it.
func FormatVersion(version uint64) string { return strconv.FormatUint(version, 10) }

// UIDOf is the UID of an object.
func UIDOf(o *watchcache.Object) types.UID {
	switch {
	case o.Pod != nil:
		return types.UID(o.Pod.UID)
	case o.CronJob != nil:
		return types.UID(o.CronJob.Status.UID)
	}
	return types.UID(o.Job.Status.UID)
}

// metaFields are those of every kind.
func metaFields(o Object) fields.Set {
	return fields.Set{"metadata.name": o.GetName(), "metadata.namespace": o.GetNamespace()}
}

// cellsOf adapts the printer of one kind.
func cellsOf[T Object](print func(T) []any) func(Object) []any {
	return func(o Object) []any { return print(o.(T)) }
}

// status is a part that is only shown.
func status(kind string) Part {
	return Part{
		Name: "status", Verbs: getVerb, Instead: "the status of " + kind + " is set by this server alone: it can be read",
	}
}
