package api

import (
	"net/http"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	utilrand "k8s.io/apimachinery/pkg/util/rand"

	"github.com/runtocompletion/batch/contrib/kube/internal/kinds"
	"github.com/runtocompletion/batch/contrib/kube/internal/wire"
)

// create makes an object, or answers a question that is asked by creating it.
func (a *answer) create(q *query) error {
	if q.kind.Review != nil {
		return q.kind.Review(a.Answer, q.params.Get("fieldValidation"))
	}
	var options metav1.CreateOptions
	if err := metav1.Convert_url_Values_To_v1_CreateOptions(&q.params, &options, nil); err != nil {
		return wire.BadRequest("%v", err)
	}
	if err := wire.InvalidOptions("CreateOptions", metavalidation.ValidateCreateOptions(&options)); err != nil {
		return err
	}
	m := q.kind.New()
	if err := a.DecodeBody(a.Decoder(options.FieldValidation), m, q.kind.GroupVersionKind); err != nil {
		return err
	}
	if err := a.prepare(q, m); err != nil {
		return err
	}
	writer := q.kind.Writer
	writer.Default(m) // who creates an object owns its defaults too
	if err := writer.Managed().Updated(writer.Managed().New(), m, a.Manager(options.FieldManager)); err != nil {
		return err
	}
	created, err := a.start(q, m, len(options.DryRun) > 0)
	if err != nil {
		return err
	}
	return a.writeChanged(q, http.StatusCreated, created)
}

// start creates an object of a manifest that is complete but for its defaults.
func (a *answer) start(q *query, m kinds.Object, dry bool) (kinds.Object, error) {
	q.kind.Writer.Default(m)
	return q.kind.Writer.Create(a.Answer, m, dry)
}

// writeChanged answers with an object that was written, in the form asked for.
func (a *answer) writeChanged(q *query, code int, o kinds.Object) error {
	f, err := formOf(a.Request, q, wire.AsProtobuf)
	if err != nil {
		f = form{} // it is done: better another form than an error
	}
	return a.writeOne(code, f, q.kind, o)
}

// prepare refuses a manifest that does not go with the request's path, and
// removes what only a server may say of a new object.
func (a *answer) prepare(q *query, m kinds.Object) error {
	namespace := a.server.host.Namespace
	switch {
	case q.namespace == "":
		return wire.NotAllowed("the path must name a namespace")
	case m.GetNamespace() != "" && m.GetNamespace() != q.namespace:
		return wire.BadRequest(otherNamespace)
	case q.namespace != namespace:
		return apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, q.namespace)
	case m.GetResourceVersion() != "":
		return wire.BadRequest("resourceVersion should not be set on objects to be created")
	}
	if stem := m.GetGenerateName(); m.GetName() == "" && stem != "" {
		m.SetName(stem[:min(len(stem), longestStem)] + utilrand.String(suffixLength))
	}
	m.SetNamespace(namespace)
	m.SetUID("")
	m.SetGeneration(0)
	m.SetSelfLink("")
	m.SetCreationTimestamp(metav1.Time{})
	m.SetDeletionTimestamp(nil)
	m.SetDeletionGracePeriodSeconds(nil)
	q.kind.Writer.Prepare(a.Answer, m)
	return nil
}

// otherNamespace is how an API server says that an object belongs elsewhere.
const otherNamespace = "the namespace of the provided object does not match the namespace sent on the request"

// Generated names are cut so that they fit into a label.
const (
	suffixLength = 5
	longestStem  = 63 - suffixLength
)

// A modification makes what an object is to be of what it is, which it must not
// change. It may be called more than once.
type modification func(live kinds.Object) (kinds.Object, error)

// update replaces an object.
func (a *answer) update(q *query) error {
	var options metav1.UpdateOptions
	if err := metav1.Convert_url_Values_To_v1_UpdateOptions(&q.params, &options, nil); err != nil {
		return wire.BadRequest("%v", err)
	}
	if err := wire.InvalidOptions("UpdateOptions", metavalidation.ValidateUpdateOptions(&options)); err != nil {
		return err
	}
	m := q.kind.New()
	if err := a.DecodeBody(a.Decoder(options.FieldValidation), m, q.kind.GroupVersionKind); err != nil {
		return err
	}
	if m.GetName() != q.name && m.GetName() != "" {
		return wire.BadRequest(otherName, m.GetName(), q.name)
	}
	replace := func(kinds.Object) (kinds.Object, error) {
		updated := m.DeepCopyObject().(kinds.Object)
		updated.SetName(q.name)
		return updated, nil
	}
	changed, err := a.change(q, len(options.DryRun) > 0, a.recorded(q, options.FieldManager, replace))
	if err != nil {
		return err
	}
	return a.writeChanged(q, http.StatusOK, changed)
}

// otherName is how an API server says that a body and its path do not agree.
const otherName = "the name of the object (%s) does not match the name on the URL (%s)"

// recorded completes what a modification makes, and records whose it is.
func (a *answer) recorded(q *query, manager string, modify modification) modification {
	manager = a.Manager(manager)
	return func(live kinds.Object) (kinds.Object, error) {
		updated, err := modify(live)
		if err != nil {
			return nil, err
		}
		if err := a.complete(q, updated, live); err != nil {
			return nil, err
		}
		return updated, q.kind.Writer.Managed().Updated(live, updated, manager)
	}
}

// change modifies an object. Nobody else changes it between the modification and
// its effect.
func (a *answer) change(q *query, dry bool, modify modification) (kinds.Object, error) {
	live, updated, err := a.modified(q, "", modify)
	if err != nil {
		return nil, err
	}
	if isSame(live, updated) {
		return live, nil
	}
	if dry {
		return updated, nil
	}
	err = q.kind.Writer.Change(a.Request.Context(), q.name, func() (kinds.Object, error) {
		_, again, err := a.modified(q, live.GetUID(), modify)
		return again, err
	})
	if err != nil {
		return nil, err
	}
	o, err := a.find(q)
	if err != nil {
		return updated, nil // it is done, and was removed
	}
	return q.kind.Build(o), nil
}

// modified returns an object as it is now and as it is to be. Uid is that of the
// object meant, if one is.
func (a *answer) modified(q *query, uid types.UID, modify modification) (live, updated kinds.Object, err error) {
	o, err := a.find(q)
	if err != nil {
		return nil, nil, err
	}
	live = q.kind.Build(o)
	if uid != "" && live.GetUID() != uid {
		return nil, nil, apierrors.NewNotFound(q.kind.GroupResource(), q.name)
	}
	if updated, err = modify(live); err != nil {
		return nil, nil, err
	}
	return live, updated, q.kind.Writer.Check(a.Answer, updated, live)
}

// complete puts into an update what only the server may say, and its defaults. It
// refuses one that was made of an older version, or of another object.
func (a *answer) complete(q *query, updated, live kinds.Object) error {
	switch {
	case updated.GetNamespace() != "" && updated.GetNamespace() != live.GetNamespace():
		return wire.BadRequest(otherNamespace)
	case updated.GetUID() != "" && updated.GetUID() != live.GetUID():
		return wire.Conflict(q.kind.GroupResource(), q.name, wire.OtherUID, updated.GetUID(), live.GetUID())
	case updated.GetResourceVersion() != "" && updated.GetResourceVersion() != live.GetResourceVersion():
		return wire.Conflict(q.kind.GroupResource(), q.name,
			"the object has been modified; please apply your changes to the latest version and try again")
	}
	updated.GetObjectKind().SetGroupVersionKind(q.kind.GroupVersionKind)
	updated.SetNamespace(live.GetNamespace())
	updated.SetUID(live.GetUID())
	updated.SetResourceVersion(live.GetResourceVersion())
	updated.SetGenerateName(live.GetGenerateName())
	updated.SetGeneration(live.GetGeneration())
	updated.SetSelfLink("")
	updated.SetCreationTimestamp(live.GetCreationTimestamp())
	updated.SetDeletionTimestamp(live.GetDeletionTimestamp())
	updated.SetDeletionGracePeriodSeconds(live.GetDeletionGracePeriodSeconds())
	q.kind.Writer.Complete(a.Answer, updated, live)
	return nil
}

// isSame reports whether an update changes nothing: who last applied the same
// values, and when, is no change.
func isSame(live, updated kinds.Object) bool {
	a, b := live.DeepCopyObject().(kinds.Object), updated.DeepCopyObject().(kinds.Object)
	for _, o := range []kinds.Object{a, b} {
		managed := o.GetManagedFields()
		for i := range managed {
			managed[i].Time = nil
		}
		o.SetManagedFields(managed)
		o.SetGeneration(0)
		o.SetResourceVersion("")
	}
	return equality.Semantic.DeepEqual(a, b)
}
