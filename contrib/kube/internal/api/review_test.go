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

var accessReviewTests = map[string]struct {
	want            authorizationv1.ResourceAttributes
	readOnly, write bool
}{
	"list jobs": {
		want: authorizationv1.ResourceAttributes{Verb: "list", Group: "batch", Resource: "jobs"}, readOnly: true,
		write: true,
	},
	"in the namespace": {
		want:     authorizationv1.ResourceAttributes{Verb: "list", Group: "batch", Resource: "jobs", Namespace: "default"},
		readOnly: true, write: true,
	},
	"in another one": {
		want: authorizationv1.ResourceAttributes{Verb: "list", Group: "batch", Resource: "jobs", Namespace: "other"},
	},
	"create jobs": {
		want:  authorizationv1.ResourceAttributes{Verb: "create", Group: "batch", Version: "v1", Resource: "jobs"},
		write: true,
	},
	"delete pods": {want: authorizationv1.ResourceAttributes{Verb: "delete", Resource: "pods"}, write: true},
	"create pods": {want: authorizationv1.ResourceAttributes{Verb: "create", Resource: "pods"}},
	"read logs": {
		want: authorizationv1.ResourceAttributes{Verb: "get", Resource: "pods", Subresource: "log"}, readOnly: true,
		write: true,
	},
	"exec": {
		want: authorizationv1.ResourceAttributes{Verb: "create", Resource: "pods", Subresource: "exec"},
	},
	"write status": {
		want:  authorizationv1.ResourceAttributes{Verb: "update", Group: "batch", Resource: "jobs", Subresource: "status"},
		write: true,
	},
	"everything": {want: authorizationv1.ResourceAttributes{Verb: "*", Group: "*", Resource: "*"}},
	"what is not there": {
		want: authorizationv1.ResourceAttributes{Verb: "get", Group: "apps", Resource: "deployments"},
	},
	"ask such questions": {
		want: authorizationv1.ResourceAttributes{
			Verb: "create", Group: "authorization.k8s.io", Resource: "selfsubjectaccessreviews",
		},
		readOnly: true, write: true,
	},
	"a version there isn't": {
		want: authorizationv1.ResourceAttributes{Verb: "list", Group: "batch", Version: "v2", Resource: "jobs"},
	},
}

func TestAccessReview(t *testing.T) {
	for name, test := range accessReviewTests {
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
