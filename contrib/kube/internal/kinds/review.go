package kinds

import (
	"net/http"
	"slices"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/runtocompletion/batch/contrib/kube/internal/wire"
)

// reviews are questions about the user who asks them, and about what is served.
func (h *Host) reviews(served func() []*Kind) []*Kind {
	return []*Kind{
		review(authenticationv1.SchemeGroupVersion, "SelfSubjectReview", "selfsubjectreview",
			func(a *wire.Answer, q *authenticationv1.SelfSubjectReview) {
				q.CreationTimestamp = metav1.Now()
				q.Status.UserInfo = authenticationv1.UserInfo{Username: a.User, Groups: h.groups()}
			}),
		review(authorizationv1.SchemeGroupVersion, "SelfSubjectAccessReview", "selfsubjectaccessreview",
			func(_ *wire.Answer, q *authorizationv1.SelfSubjectAccessReview) {
				q.Status = h.access(served(), q.Spec)
			}),
		review(authorizationv1.SchemeGroupVersion, "SelfSubjectRulesReview", "selfsubjectrulesreview",
			func(_ *wire.Answer, q *authorizationv1.SelfSubjectRulesReview) { q.Status = h.rules(served()) }),
	}
}

// review is a kind of question. T is its Go type, and P a pointer to that.
func review[T any, P interface {
	*T
	Object
}](version schema.GroupVersion, kind, singular string, answer func(*wire.Answer, P)) *Kind {
	k := &Kind{
		GroupVersionKind: version.WithKind(kind), Plural: singular + "s", Singular: singular, Verbs: []string{"create"},
	}
	k.Review = func(a *wire.Answer, fieldValidation string) error {
		question := P(new(T))
		if err := a.DecodeBody(a.Decoder(fieldValidation), question, k.GroupVersionKind); err != nil {
			return err
		}
		question.GetObjectKind().SetGroupVersionKind(k.GroupVersionKind)
		answer(a, question)
		return a.WriteObject(http.StatusCreated, question)
	}
	return k
}

func (h *Host) groups() []string {
	if !h.Known {
		return []string{"system:unauthenticated"}
	}
	return []string{"system:authenticated"}
}

// access says whether a request would be served.
func (h *Host) access(
	served []*Kind, spec authorizationv1.SelfSubjectAccessReviewSpec,
) authorizationv1.SubjectAccessReviewStatus {
	switch {
	case spec.ResourceAttributes != nil:
		allowed := h.allows(served, spec.ResourceAttributes)
		if !allowed && !h.Write {
			return authorizationv1.SubjectAccessReviewStatus{Reason: "the server is read-only, or does not have this"}
		}
		return authorizationv1.SubjectAccessReviewStatus{Allowed: allowed}
	case spec.NonResourceAttributes != nil:
		return authorizationv1.SubjectAccessReviewStatus{Allowed: spec.NonResourceAttributes.Verb == "get"}
	}
	return authorizationv1.SubjectAccessReviewStatus{}
}

// allows reports whether what is asked for is served. A wildcard asks for more
// than any server of jobs has.
func (h *Host) allows(served []*Kind, want *authorizationv1.ResourceAttributes) bool {
	if want.Namespace != "" && want.Namespace != h.Namespace {
		return false
	}
	for _, k := range served {
		if k.Group != want.Group || k.Plural != want.Resource || want.Version != "" && want.Version != "*" &&
			want.Version != k.Version {
			continue
		}
		if want.Subresource == "" {
			return slices.Contains(h.allowed(k.Verbs, k.Review != nil), want.Verb)
		}
		part := k.Part(want.Subresource)
		return part != nil && slices.Contains(h.allowed(part.Verbs, false), want.Verb)
	}
	return false
}

// allowed are those of the verbs that are open.
func (h *Host) allowed(verbs []string, question bool) []string {
	if h.Write || question {
		return verbs
	}
	return slices.DeleteFunc(slices.Clone(verbs), func(verb string) bool { return !slices.Contains(ReadVerbs, verb) })
}

// rules lists all that is served.
func (h *Host) rules(served []*Kind) authorizationv1.SubjectRulesReviewStatus {
	status := authorizationv1.SubjectRulesReviewStatus{
		ResourceRules:    []authorizationv1.ResourceRule{},
		NonResourceRules: []authorizationv1.NonResourceRule{{Verbs: []string{"get"}, NonResourceURLs: []string{"*"}}}}
	for _, k := range served {
		rule := func(name string, verbs []string) {
			if len(verbs) > 0 {
				status.ResourceRules = append(status.ResourceRules,
					authorizationv1.ResourceRule{Verbs: verbs, APIGroups: []string{k.Group}, Resources: []string{name}})
			}
		}
		rule(k.Plural, h.allowed(k.Verbs, k.Review != nil))
		for _, part := range k.Parts {
			rule(k.Plural+"/"+part.Name, h.allowed(part.Verbs, false))
		}
	}
	return status
}
