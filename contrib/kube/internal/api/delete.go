package api

import (
	"context"
	"net/http"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtocompletion/batch/contrib/kube/internal/kinds"
	"github.com/runtocompletion/batch/contrib/kube/internal/watchcache"
	"github.com/runtocompletion/batch/contrib/kube/internal/wire"
)

// delete removes one object. The answer is the object if it lingers, or else a
// Status.
func (a *answer) delete(q *query) error {
	options, err := a.DeleteOptions(q.params)
	if err != nil {
		return err
	}
	o, err := a.find(q)
	if err != nil {
		return err
	}
	left, err := a.deleteOne(q.kind, o, options)
	if err != nil {
		return err
	}
	if left == nil {
		return a.WriteObject(http.StatusOK, deletedStatus(q.kind, q.kind.Build(o)))
	}
	return a.writeChanged(q, http.StatusOK, q.kind.Build(left))
}

// deleteOne deletes an object, and returns it if it lingers.
func (a *answer) deleteOne(k *kinds.Kind, o *watchcache.Object, options *metav1.DeleteOptions) (*watchcache.Object,
	error) {
	if err := checkPreconditions(k, k.Build(o), options.Preconditions); err != nil {
		return nil, err
	}
	return k.Delete(a.Answer, o, options)
}

func deletedStatus(k *kinds.Kind, o kinds.Object) *metav1.Status {
	return &metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status:   metav1.StatusSuccess,
		Details:  &metav1.StatusDetails{Name: o.GetName(), Group: k.Group, Kind: k.Plural, UID: o.GetUID()},
	}
}

func checkPreconditions(k *kinds.Kind, o kinds.Object, p *metav1.Preconditions) error {
	switch {
	case p == nil:
	case p.UID != nil && *p.UID != o.GetUID():
		return wire.Conflict(k.GroupResource(), o.GetName(), wire.OtherUID, *p.UID, o.GetUID())
	case p.ResourceVersion != nil && *p.ResourceVersion != o.GetResourceVersion():
		return wire.Conflict(k.GroupResource(), o.GetName(), "Precondition failed: ResourceVersion in precondition: %v, "+
			"ResourceVersion in object meta: %v", *p.ResourceVersion, o.GetResourceVersion())
	}
	return nil
}

// deleteCollection deletes all objects that are selected, and answers with what
// they were.
func (a *answer) deleteCollection(q *query) error {
	options, err := a.DeleteOptions(q.params)
	if err != nil {
		return err
	}
	s, err := a.selection(q)
	if err != nil {
		return err
	}
	objects, meta, err := a.page(s)
	if err != nil {
		return err
	}
	var deleted []kinds.Object
	for o := range objects {
		if err := a.deleteListed(q.kind, o, options); err != nil {
			return err
		}
		deleted = append(deleted, o)
	}
	return a.writeList(q.kind, form{}, meta, slices.Values(deleted))
}

// deleteListed deletes one of many. That it is gone already is no error.
func (a *answer) deleteListed(k *kinds.Kind, o kinds.Object, options *metav1.DeleteOptions) error {
	if a.Request.Context().Err() != nil {
		return context.Cause(a.Request.Context())
	}
	found := k.Objects.Object(o.GetName())
	if found == nil || k.Build(found).GetUID() != o.GetUID() {
		return nil
	}
	_, err := a.deleteOne(k, found, options)
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
