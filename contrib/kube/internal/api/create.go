package api

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	utilrand "k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/kube/internal/convert"
	"github.com/runtocompletion/batch/contrib/kube/internal/validation"
)

var (
	jobKind     = batchv1.SchemeGroupVersion.WithKind("Job")
	jobResource = schema.GroupResource{Group: batchv1.GroupName, Resource: "jobs"}
)

// create makes a job, or answers a question that is asked by creating it.
func (a *answer) create(q *query) error {
	if q.resource.kind != "Job" {
		return a.review(q)
	}
	if err := a.allowWrites(q); err != nil {
		return err
	}
	var options metav1.CreateOptions
	if err := metav1.Convert_url_Values_To_v1_CreateOptions(&q.params, &options, nil); err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	if err := invalidOptions("CreateOptions", metavalidation.ValidateCreateOptions(&options)); err != nil {
		return err
	}
	m := new(batchv1.Job)
	if err := a.decodeBody(a.decoder(options.FieldValidation), m, jobKind); err != nil {
		return err
	}
	created, err := a.createJob(q, m, a.manager(options.FieldManager), len(options.DryRun) > 0)
	if err != nil {
		return err
	}
	return a.writeChanged(q, http.StatusCreated, created)
}

// writeChanged answers with an object that was written, in the form asked for.
func (a *answer) writeChanged(q *query, code int, o object) error {
	f, err := formOf(a.r, q)
	if err != nil {
		f = form{} // it is done: better another form than an error
	}
	return a.writeJSON(code, jsonType, f.one(q.resource, o, true))
}

func invalidOptions(kind string, errs field.ErrorList) error {
	if len(errs) == 0 {
		return nil
	}
	return apierrors.NewInvalid(schema.GroupKind{Group: metav1.GroupName, Kind: kind}, "", errs)
}

// manager is the name under which changes are recorded: the one given, or the
// client's.
func (a *answer) manager(name string) string {
	if name != "" {
		return name
	}
	agent, _, _ := strings.Cut(a.r.UserAgent(), "/")
	agent = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, agent)
	if agent == "" {
		return "unknown"
	}
	return agent[:min(len(agent), metavalidation.FieldManagerMaxLength)]
}

// createJob creates the job that a manifest describes. The manifest becomes the
// server's.
func (a *answer) createJob(q *query, m *batchv1.Job, manager string, dryRun bool) (object, error) {
	if err := a.checkNew(q, m); err != nil {
		return nil, err
	}
	a.clearForCreate(m)
	validation.Default(m) // who creates an object owns its defaults too
	if err := a.server.fields.Created(m, manager); err != nil {
		return nil, err
	}
	return a.start(q, m, dryRun)
}

// start creates a job from a manifest that is complete but for its defaults.
func (a *answer) start(q *query, m *batchv1.Job, dryRun bool) (object, error) {
	validation.Default(m)
	if errs := validation.Validate(m); len(errs) > 0 {
		return nil, invalidJob(m.Name, errs)
	}
	for _, warning := range validation.Warnings(m) {
		a.warn(warning)
	}
	job, warnings, err := a.server.config.Runner.Job(m, convert.FromClient)
	if err != nil {
		return nil, jobError(m.Name, err)
	}
	for _, warning := range warnings {
		a.warn(warning)
	}
	if job.Annotations, err = keepMetadata(m, job.Annotations); err != nil {
		return nil, err
	}
	if dryRun {
		return a.pretend(q, job)
	}
	if err := a.server.config.Controller.Create(a.r.Context(), job); err != nil {
		return nil, jobError(job.Name, err)
	}
	if o := a.server.cache.Job(job.Name); o != nil {
		return a.server.buildJob(o), nil
	}
	return a.server.manifest(job, newStatus(job), 0), nil // it is done, and was removed
}

// pretend returns what a job would look like.
func (a *answer) pretend(q *query, job batch.Job) (object, error) {
	if a.server.cache.Job(job.Name) != nil {
		return nil, apierrors.NewAlreadyExists(jobResource, job.Name)
	}
	o := a.server.manifest(job, newStatus(job), 0)
	o.ResourceVersion = ""
	o.Status = batchv1.JobStatus{} // as of a job that no controller has seen
	return o, nil
}

func newStatus(job batch.Job) batch.Status {
	var id [16]byte
	rand.Read(id[:]) // never fails
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	uid := fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
	return batch.Status{Name: job.Name, UID: uid, Generation: 1, CreatedAt: time.Now()}
}

// checkNew refuses a manifest that does not go with the request's path.
func (a *answer) checkNew(q *query, m *batchv1.Job) error {
	namespace := a.server.config.Namespace
	switch {
	case q.namespace == "":
		return notAllowed()
	case m.Namespace != "" && m.Namespace != q.namespace:
		return apierrors.NewBadRequest("the namespace of the provided object does not match the namespace sent on the request")
	case q.namespace != namespace:
		return apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, q.namespace)
	case m.ResourceVersion != "":
		return apierrors.NewBadRequest("resourceVersion should not be set on objects to be created")
	}
	return nil
}

// clearForCreate removes what only a server may say of an object, and gives it
// its name.
func (a *answer) clearForCreate(m *batchv1.Job) {
	if m.Name == "" && m.GenerateName != "" {
		m.Name = m.GenerateName[:min(len(m.GenerateName), longestStem)] + utilrand.String(suffixLength)
	}
	a.dropFinalizers(m)
	m.Namespace = a.server.config.Namespace
	m.UID, m.Generation = "", 0
	m.SetSelfLink("")
	m.CreationTimestamp, m.DeletionTimestamp, m.DeletionGracePeriodSeconds = metav1.Time{}, nil, nil
	m.Status = batchv1.JobStatus{}
	convert.DropKept(m.Annotations)
}

// Generated names are cut so that they fit into a label.
const (
	suffixLength = 5
	longestStem  = 63 - suffixLength
)

func (a *answer) dropFinalizers(m *batchv1.Job) {
	if len(m.Finalizers) > 0 {
		a.warn("metadata.finalizers: not supported by this server: they are ignored")
		m.Finalizers = nil
	}
}

// jobError is the answer to what the controller, or the runner, says about a job.
func jobError(name string, err error) error {
	if invalid, ok := errors.AsType[*batch.ValidationError](err); ok {
		return invalidJob(name, fieldErrors(invalid))
	}
	if errs := fieldErrorsOf(err); len(errs) > 0 {
		return invalidJob(name, errs)
	}
	switch {
	case errors.Is(err, batch.ErrExists):
		return apierrors.NewAlreadyExists(jobResource, name)
	case errors.Is(err, batch.ErrNotFound):
		return apierrors.NewNotFound(jobResource, name)
	}
	return err
}

// mostErrors is how many errors of one object are told: to make a text of them
// costs the square of their number.
const mostErrors = 200

// invalidJob is the answer to a manifest with errors.
func invalidJob(name string, errs field.ErrorList) error {
	return apierrors.NewInvalid(jobKind.GroupKind(), name, errs[:min(len(errs), mostErrors)])
}

// fieldErrorsOf finds the field errors that an error consists of.
func fieldErrorsOf(err error) field.ErrorList {
	var errs field.ErrorList
	if all, ok := errors.AsType[utilerrors.Aggregate](err); ok {
		for _, each := range all.Errors() {
			errs = append(errs, fieldErrorsOf(each)...)
		}
		return errs
	}
	if one, ok := errors.AsType[*field.Error](err); ok {
		errs = append(errs, one)
	}
	return errs
}

// errorTypes are the API's names of the kinds of errors.
var errorTypes = map[batch.ErrorKind]field.ErrorType{
	batch.Required: field.ErrorTypeRequired, batch.Invalid: field.ErrorTypeInvalid,
	batch.NotSupported: field.ErrorTypeNotSupported, batch.Forbidden: field.ErrorTypeForbidden,
	batch.TooLong: field.ErrorTypeTooLong, batch.TooMany: field.ErrorTypeTooMany, batch.Duplicate: field.ErrorTypeDuplicate,
}

func fieldErrors(invalid *batch.ValidationError) field.ErrorList {
	var errs field.ErrorList
	for _, e := range invalid.Fields {
		value := e.Value
		if d, ok := value.(time.Duration); ok {
			value = fmt.Sprint(d.Seconds())
		}
		errs = append(errs, &field.Error{Type: errorTypes[e.Kind], Field: e.Field, BadValue: value, Detail: e.Detail})
	}
	return errs
}
