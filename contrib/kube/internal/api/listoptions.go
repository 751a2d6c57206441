package api

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/runtocompletion/batch/contrib/kube/internal/kinds"
	"github.com/runtocompletion/batch/contrib/kube/internal/watchcache"
	"github.com/runtocompletion/batch/contrib/kube/internal/wire"
)

// A selection is which objects of a resource are asked for.
type selection struct {
	query   *query
	options metav1.ListOptions
	// version is the options' resourceVersion; zero if there is none or any will do.
	version   uint64
	namespace string // the server's
	labels    labels.Selector
	fields    fields.Selector
}

// selection reads the parameters of a list, a watch or a deletion of many.
func (a *answer) selection(q *query) (*selection, error) {
	s := &selection{query: q, namespace: a.server.host.Namespace}
	if err := metav1.Convert_url_Values_To_v1_ListOptions(&q.params, &s.options, nil); err != nil {
		return nil, wire.BadRequest("%v", err)
	}
	if err := s.validate(wire.IsTrue(q.params, "watch")); err != nil {
		return nil, err
	}
	var err error
	if s.labels, err = labels.Parse(s.options.LabelSelector); err != nil {
		return nil, wire.BadRequest("%v", err)
	}
	if s.fields, err = fields.ParseSelector(s.options.FieldSelector); err != nil {
		return nil, wire.BadRequest("%v", err)
	}
	if s.fields, err = s.fields.Transform(q.kind.ConvertField); err != nil {
		return nil, wire.BadRequest("%v", err)
	}
	return s, nil
}

func (s *selection) validate(watch bool) error {
	options := internalversion.ListOptions{Watch: watch, ResourceVersion: s.options.ResourceVersion,
		ResourceVersionMatch: s.options.ResourceVersionMatch, Continue: s.options.Continue,
		SendInitialEvents: s.options.SendInitialEvents}
	if errs := validation.ValidateListOptions(&options, true); len(errs) > 0 {
		return apierrors.NewInvalid(schema.GroupKind{Group: metav1.GroupName, Kind: "ListOptions"}, "", errs)
	}
	if s.options.ResourceVersion == "" {
		return nil
	}
	if s.options.Continue != "" && s.options.ResourceVersion != "0" {
		return wire.BadRequest("specifying resource version is not allowed when using continue")
	}
	var err error
	if s.version, err = strconv.ParseUint(s.options.ResourceVersion, 10, 64); err != nil {
		return wire.BadRequest("invalid resource version %q: %v", s.options.ResourceVersion, err)
	}
	return nil
}

// isEverything reports whether nothing was left out by selectors.
func (s *selection) isEverything() bool { return s.labels.Empty() && s.fields.Empty() }

// isElsewhere reports whether only another namespace was asked for.
func (s *selection) isElsewhere() bool {
	return s.query.namespace != "" && s.query.namespace != s.namespace
}

// has reports whether an object is among those asked for.
func (s *selection) has(o kinds.Object) bool {
	if s.isElsewhere() {
		return false
	}
	return s.isEverything() || s.matches(s.query.kind.AttributesOf(o))
}

func (s *selection) matches(a kinds.Attributes) bool {
	return s.labels.Matches(a.Labels) && s.fields.Matches(a.Fields)
}

// hasCached is has for an object that many watchers look at.
func (s *selection) hasCached(o *watchcache.Object) bool {
	if s.isElsewhere() || o == nil {
		return false
	}
	r := s.query.kind
	return s.isEverything() ||
		s.matches(o.Attributes.Value(func() any { return r.AttributesOf(r.Build(o)) }).(kinds.Attributes))
}

// jobName is the only job that the objects can belong to, if the selectors say
// so: then the others need not be looked at.
func (s *selection) jobName() string {
	if find := s.query.kind.JobName; find != nil {
		return find(s.labels, s.fields)
	}
	return ""
}

// A continueToken says where a list goes on.
type continueToken struct {
	APIVersion      string `json:"v"`
	ResourceVersion uint64 `json:"rv"`
	Start           string `json:"start"` // the last name of the part before
}

const continueVersion = "meta.k8s.io/v1"

func (t continueToken) String() string {
	text, err := json.Marshal(t)
	if err != nil {
		panic(err) // three plain fields
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

func parseContinue(text string) (continueToken, error) {
	var t continueToken
	data, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		err = json.Unmarshal(data, &t)
	}
	if err != nil || t.APIVersion != continueVersion || t.Start == "" {
		return t, wire.BadRequest("continue key is not valid")
	}
	return t, nil
}

// tooLarge is the answer to a version that was not given out yet.
func tooLarge(asked, current uint64) error {
	err := apierrors.NewTimeoutError(fmt.Sprintf("Too large resource version: %d, current: %d", asked, current), 1)
	err.ErrStatus.Details.Causes = []metav1.StatusCause{{
		Type: metav1.CauseTypeResourceVersionTooLarge, Message: "Too large resource version"}}
	return err
}

// tableOptions reads how much of an object goes with each row of a table.
func tableOptions(params url.Values) (metav1.IncludeObjectPolicy, error) {
	switch policy := metav1.IncludeObjectPolicy(params.Get("includeObject")); policy {
	case "":
		return metav1.IncludeMetadata, nil
	case metav1.IncludeNone, metav1.IncludeMetadata, metav1.IncludeObject:
		return policy, nil
	default:
		return "", wire.BadRequest("unrecognized includeObject value: %q", policy)
	}
}
