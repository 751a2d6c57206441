package cluster

import (
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Rights are the least that the service account of a service needs for [Run], in a
// namespace: a Role and its RoleBinding.
func Rights(namespace, serviceAccount string) (*rbacv1.Role, *rbacv1.RoleBinding) {
	return rights("batch-cluster", namespace, serviceAccount,
		rule("batch", "jobs", "create", "get", "list", "watch", "patch", "delete"),
		rule("", "pods", "get", "list", "watch", "patch"),
		rule("", "pods/log", "get"),
		rule("", "events", "list", "watch"))
}

// PodRights are the least that the service account of pods needs that save checkpoints:
// see Options.Checkpoints. Other pods need none.
func PodRights(namespace, serviceAccount string) (*rbacv1.Role, *rbacv1.RoleBinding) {
	return rights("batch-cluster-pod", namespace, serviceAccount, rule("", "configmaps", "create", "get", "update"))
}

func rule(group, resource string, verbs ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, Verbs: verbs}
}

func rights(name, namespace, serviceAccount string, rules ...rbacv1.PolicyRule) (*rbacv1.Role, *rbacv1.RoleBinding) {
	role := &rbacv1.Role{
		TypeMeta:   metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "Role"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace}, Rules: rules}
	binding := &rbacv1.RoleBinding{
		TypeMeta:   metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "RoleBinding"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Name: serviceAccount, Namespace: namespace}},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name}}
	return role, binding
}
