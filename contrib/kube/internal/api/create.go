package api

import (
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime/schema"
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
