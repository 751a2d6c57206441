package api

import (
	"net/http"
	"slices"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// review answers a question about the user who asks it.
func (a *answer) review(q *query) error {
	var o object
	switch q.resource.kind {
	case "SelfSubjectAccessReview":
		o = new(authorizationv1.SelfSubjectAccessReview)
	case "SelfSubjectRulesReview":
		o = new(authorizationv1.SelfSubjectRulesReview)
	default:
		o = new(authenticationv1.SelfSubjectReview)
	}
	kind := q.resource.groupVersion().WithKind(q.resource.kind)
	if err := a.decodeBody(a.decoder(q.params.Get("fieldValidation")), o, kind); err != nil {
		return err
	}
	o.GetObjectKind().SetGroupVersionKind(kind)
	switch o := o.(type) {
	case *authorizationv1.SelfSubjectAccessReview:
		o.Status = a.server.access(o.Spec)
	case *authorizationv1.SelfSubjectRulesReview:
		o.Status = a.server.rules()
	case *authenticationv1.SelfSubjectReview:
		o.CreationTimestamp = metav1.Now()
		o.Status.UserInfo = authenticationv1.UserInfo{Username: a.user, Groups: a.groups()}
	}
	return a.writeObject(http.StatusCreated, o)
}

func (a *answer) groups() []string {
	if a.server.config.Authenticate == nil {
		return []string{"system:unauthenticated"}
	}
	return []string{"system:authenticated"}
}

// access says whether a request would be served.
func (s *Server) access(spec authorizationv1.SelfSubjectAccessReviewSpec) authorizationv1.SubjectAccessReviewStatus {
	switch {
	case spec.ResourceAttributes != nil:
		allowed := s.allows(spec.ResourceAttributes)
		if !allowed && !s.config.Write {
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
func (s *Server) allows(want *authorizationv1.ResourceAttributes) bool {
	if want.Namespace != "" && want.Namespace != s.config.Namespace {
		return false
	}
	for _, r := range s.resources {
		if r.group != want.Group || r.name != want.Resource || want.Version != "" && want.Version != "*" && want.Version != r.version {
			continue
		}
		return slices.Contains(s.allowed(r, want.Subresource), want.Verb)
	}
	return false
}

// allowed are the verbs that are served of a resource, or of a part of it.
func (s *Server) allowed(r *resource, part string) []string {
	if part != "" {
		for _, sub := range r.subresources {
			if sub.name == part {
				return sub.verbs
			}
		}
		return nil
	}
	if s.config.Write || r.empty == nil {
		return r.verbs
	}
	return readVerbs
}

// rules lists all that is served.
func (s *Server) rules() authorizationv1.SubjectRulesReviewStatus {
	status := authorizationv1.SubjectRulesReviewStatus{
		ResourceRules:    []authorizationv1.ResourceRule{},
		NonResourceRules: []authorizationv1.NonResourceRule{{Verbs: []string{"get"}, NonResourceURLs: []string{"*"}}}}
	for _, r := range s.resources {
		rule := func(name string, verbs []string) {
			status.ResourceRules = append(status.ResourceRules,
				authorizationv1.ResourceRule{Verbs: verbs, APIGroups: []string{r.group}, Resources: []string{name}})
		}
		rule(r.name, s.allowed(r, ""))
		for _, sub := range r.subresources {
			rule(r.name+"/"+sub.name, sub.verbs)
		}
	}
	return status
}
