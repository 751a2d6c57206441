package api

import (
	"errors"
	"fmt"
	"net/http"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/kube/internal/convert"
	"github.com/runtocompletion/batch/contrib/kube/internal/validation"
)

// A modification makes the manifest that a job is to have of the one it has,
// which it must not change. It may be called more than once.
type modification func(live *batchv1.Job) (*batchv1.Job, error)

// update replaces a job.
func (a *answer) update(q *query) error {
	if err := a.allowWrites(q); err != nil {
		return err
	}
	var options metav1.UpdateOptions
	if err := metav1.Convert_url_Values_To_v1_UpdateOptions(&q.params, &options, nil); err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	if err := invalidOptions("UpdateOptions", metavalidation.ValidateUpdateOptions(&options)); err != nil {
		return err
	}
	m := new(batchv1.Job)
	if err := a.decodeBody(a.decoder(options.FieldValidation), m, jobKind); err != nil {
		return err
	}
	if m.Name != q.name && m.Name != "" {
		return apierrors.NewBadRequest(fmt.Sprintf("the name of the object (%s) does not match the name on the URL (%s)", m.Name, q.name))
	}
	manager := a.manager(options.FieldManager)
	changed, err := a.change(q, len(options.DryRun) > 0, func(live *batchv1.Job) (*batchv1.Job, error) {
		updated := m.DeepCopy()
		updated.Name = q.name
		if err := a.complete(updated, live); err != nil {
			return nil, err
		}
		return updated, a.server.fields.Updated(live, updated, manager)
	})
	if err != nil {
		return err
	}
	return a.writeChanged(q, http.StatusOK, changed)
}

// change modifies a job. Nobody else changes it between the modification and its
// effect.
func (a *answer) change(q *query, dryRun bool, modify modification) (object, error) {
	live, updated, err := a.modified(q, "", modify)
	if err != nil {
		return nil, err
	}
	if isSame(live, updated) {
		return live, nil
	}
	if dryRun {
		if !equality.Semantic.DeepEqual(live.Spec, updated.Spec) {
			updated.Generation++
		}
		return updated, nil
	}
	var refused error
	err = a.server.config.Controller.Update(a.r.Context(), q.name, func(job *batch.Job) {
		var again *batchv1.Job
		if _, again, refused = a.modified(q, live.UID, modify); refused == nil {
			refused = a.changeJob(job, again)
		}
	})
	if err := errors.Join(err, refused); err != nil {
		return nil, jobError(q.name, err)
	}
	o, err := a.find(q)
	if err != nil {
		return updated, nil // it is done, and was removed
	}
	return a.server.buildJob(o), nil
}

// modified returns a job as it is now and as it is to be. Uid is that of the job
// meant, if one is.
func (a *answer) modified(q *query, uid types.UID, modify modification) (live, updated *batchv1.Job, err error) {
	o, err := a.find(q)
	if err != nil {
		return nil, nil, err
	}
	live = a.server.buildJob(o).(*batchv1.Job)
	if uid != "" && live.UID != uid {
		return nil, nil, apierrors.NewNotFound(jobResource, q.name)
	}
	if updated, err = modify(live); err != nil {
		return nil, nil, err
	}
	return live, updated, a.checkUpdate(live, updated)
}

// changeJob makes a job what its manifest says.
func (a *answer) changeJob(job *batch.Job, m *batchv1.Job) error {
	convert.Change(job, m)
	annotations, err := keepMetadata(m, job.Annotations)
	if err != nil {
		return err
	}
	job.Annotations = annotations
	return nil
}

// complete puts into an updated manifest what only the server may say, and its
// defaults. It refuses one that was made of an older version, or of another job.
func (a *answer) complete(updated, live *batchv1.Job) error {
	switch {
	case updated.Namespace != "" && updated.Namespace != live.Namespace:
		return apierrors.NewBadRequest("the namespace of the provided object does not match the namespace sent on the request")
	case updated.UID != "" && updated.UID != live.UID:
		return conflict(jobResource, live.Name, otherUID, updated.UID, live.UID)
	case updated.ResourceVersion != "" && updated.ResourceVersion != live.ResourceVersion:
		return conflict(jobResource, live.Name, "the object has been modified; please apply your changes to the latest version and try again")
	}
	updated.TypeMeta = live.TypeMeta
	updated.Namespace, updated.UID, updated.ResourceVersion = live.Namespace, live.UID, live.ResourceVersion
	updated.GenerateName, updated.Generation = live.GenerateName, live.Generation
	updated.SetSelfLink("")
	updated.CreationTimestamp = live.CreationTimestamp
	updated.DeletionTimestamp, updated.DeletionGracePeriodSeconds = live.DeletionTimestamp, live.DeletionGracePeriodSeconds
	updated.Status = *live.Status.DeepCopy()
	if !equality.Semantic.DeepEqual(updated.Finalizers, live.Finalizers) {
		a.dropFinalizers(updated)
		updated.Finalizers = live.Finalizers
	}
	convert.DropKept(updated.Annotations)
	validation.Default(updated)
	return nil
}

// otherUID and otherVersion are how an API server says that an object is not the
// one that was meant.
const (
	otherUID     = "Precondition failed: UID in precondition: %v, UID in object meta: %v"
	otherVersion = "Precondition failed: ResourceVersion in precondition: %v, ResourceVersion in object meta: %v"
)

func conflict(r schema.GroupResource, name, format string, args ...any) error {
	return apierrors.NewConflict(r, name, fmt.Errorf(format, args...))
}

// checkUpdate refuses what may not change, or cannot here.
func (a *answer) checkUpdate(live, updated *batchv1.Job) error {
	errs := validation.ValidateUpdate(updated, live)
	if len(errs) == 0 && !equality.Semantic.DeepEqual(live.Spec.Template, updated.Spec.Template) {
		errs = field.ErrorList{field.Forbidden(field.NewPath("spec", "template"),
			"this server cannot change the template of a job; delete it and create it anew")}
	}
	if len(errs) > 0 {
		return invalidJob(updated.Name, errs)
	}
	return nil
}

// isSame reports whether an update changes nothing: who last applied the same
// values, and when, is no change.
func isSame(live, updated *batchv1.Job) bool {
	a, b := live.DeepCopy(), updated.DeepCopy()
	for _, job := range []*batchv1.Job{a, b} {
		for i := range job.ManagedFields {
			job.ManagedFields[i].Time = nil
		}
		job.Generation, job.ResourceVersion = 0, ""
	}
	return equality.Semantic.DeepEqual(a, b)
}
