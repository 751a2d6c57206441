package api

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/runtocompletion/batch/contrib/kube/internal/wire"
	"github.com/stretchr/testify/require"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestAccessReview(t *testing.T) {
	tests := map[string]struct {
		want            authorizationv1.ResourceAttributes
		readOnly, write bool
	}{
		"list jobs": {
			authorizationv1.ResourceAttributes{Verb: "list", Group: "batch", Resource: "jobs"}, true, true,
		},
		"in the namespace": {
			authorizationv1.ResourceAttributes{Verb: "list", Group: "batch", Resource: "jobs", Namespace: "default"}, true, true,
		},
		"in another one": {
			authorizationv1.ResourceAttributes{Verb: "list", Group: "batch", Resource: "jobs", Namespace: "other"}, false, false,
		},
		"create jobs": {
			authorizationv1.ResourceAttributes{Verb: "create", Group: "batch", Version: "v1", Resource: "jobs"}, false, true,
		},
		"delete pods": {authorizationv1.ResourceAttributes{Verb: "delete", Resource: "pods"}, false, true},
		"create pods": {authorizationv1.ResourceAttributes{Verb: "create", Resource: "pods"}, false, false},
		"read logs": {
			authorizationv1.ResourceAttributes{Verb: "get", Resource: "pods", Subresource: "log"}, true, true,
		},
		"exec": {
			authorizationv1.ResourceAttributes{Verb: "create", Resource: "pods", Subresource: "exec"}, false, false,
		},
		"write status": {
			authorizationv1.ResourceAttributes{Verb: "update", Group: "batch", Resource: "jobs", Subresource: "status"}, false,
			false,
		},
		"everything": {authorizationv1.ResourceAttributes{Verb: "*", Group: "*", Resource: "*"}, false, false},
		"what is not there": {
			authorizationv1.ResourceAttributes{Verb: "get", Group: "apps", Resource: "deployments"}, false, false,
		},
		"ask such questions": {
			authorizationv1.ResourceAttributes{
				Verb: "create", Group: "authorization.k8s.io", Resource: "selfsubjectaccessreviews",
			},
			true, true,
		},
		"a version there isn't": {
			authorizationv1.ResourceAttributes{Verb: "list", Group: "batch", Version: "v2", Resource: "jobs"}, false, false,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			for write, allowed := range map[bool]bool{false: test.readOnly, true: test.write} {
				w := newWorld(t, Config{Write: write})
				review := &authorizationv1.SelfSubjectAccessReview{
					TypeMeta: metav1.TypeMeta{Kind: "SelfSubjectAccessReview", APIVersion: "authorization.k8s.io/v1"},
					Spec:     authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &test.want}}
				inJSON, err := json.Marshal(review)
				require.NoError(t, err)
				for contentType, body := range map[string]string{"application/json": string(inJSON),
					wire.Protobuf: encoded(t, review)} {
					var answer authorizationv1.SelfSubjectAccessReview
					w.read(w.do(call{method: "POST", path: "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
						contentType: contentType, body: body}), http.StatusCreated, &answer)
					require.Equal(t, allowed, answer.Status.Allowed)
				}
			}
		})
	}
}

func TestOtherReviews(t *testing.T) {
	w := newWorld(t, Config{Authenticate: func(*http.Request) (string, error) { return "me", nil }})
	ask := func(path, body string, into any) {
		t.Helper()
		w.read(w.do(call{method: "POST", path: path, body: body}), http.StatusCreated, into)
	}
	var who authenticationv1.SelfSubjectReview
	ask("/apis/authentication.k8s.io/v1/selfsubjectreviews", `{}`, &who)
	require.Equal(t, "me", who.Status.UserInfo.Username)
	var rules authorizationv1.SelfSubjectRulesReview
	ask("/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", `{"spec":{"namespace":"default"}}`, &rules)
	for _, rule := range rules.Status.ResourceRules {
		require.NotContains(t, rule.Verbs, "delete", "the server is read-only")
	}
	var access authorizationv1.SelfSubjectAccessReview
	ask(
		"/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
		`{"spec":{"nonResourceAttributes":{"path":"/healthz","verb":"get"}}}`, &access,
	)
	require.True(t, access.Status.Allowed)
	ask("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", `{}`, &access)
}
