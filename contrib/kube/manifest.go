package kube

import (
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/kube/internal/convert"
	"github.com/runtocompletion/batch/contrib/kube/internal/manifest"
	"github.com/runtocompletion/batch/contrib/kube/internal/validation"
)

// Objects are the Jobs of manifests, and the ConfigMaps and Secrets that came with
// them: a [Runner] needs these for the variables of the jobs' containers.
type Objects struct {
	Jobs       []*batchv1.Job
	ConfigMaps []*corev1.ConfigMap
	Secrets    []*corev1.Secret
}

// Decode reads Jobs of batch/v1, ConfigMaps and Secrets from YAML documents, or from
// JSON values one after the other. A List, or JobList, stands for its items. It is
// strict: the error tells of every field that does not exist or is there twice, by
// document and path, of values of the wrong type, and of objects of other kinds. There
// are no objects then. At most 16 MiB are read.
func Decode(data []byte) (Objects, error) {
	objects, err := manifest.Decode(data)
	return Objects(objects), err
}

// Load reads the objects of a file, or of the files in a folder that end in .yaml,
// .yml or .json, in the order of their names. Errors begin with the file's name.
// See [Decode].
func Load(path string) (Objects, error) {
	objects, err := manifest.Load(path)
	return Objects(objects), err
}

// Default fills in what a manifest leaves out, as the API server does.
func Default(m *batchv1.Job) { validation.Default(m) }

// Validate returns everything that the API server finds wrong with a manifest
// that has its defaults: fields, kinds and texts are the server's. Not looked at
// are the innards of what only a cluster can make sense of, and a [Runner] refuses
// or warns about: affinities, topology, scheduling gates, security contexts,
// overhead, resizing, resources of whole pods, claims of devices, volumes that are
// kept elsewhere and how they are mounted, lifecycle hooks, DNS and host names.
func Validate(m *batchv1.Job) field.ErrorList { return validation.Validate(m) }

// Manifest returns a job, and its status, as the API server would show them. A
// job that a [Runner] has made has its pod template again, after a restart, too;
// one made by Go code has one container, with the image func/NAME after the job's
// name or, if it runs a [batch.Command], with that command, without its
// environment. An empty namespace is "default".
func Manifest(job batch.Job, status batch.Status, namespace string) *batchv1.Job {
	return convert.Manifest(job, status, namespace)
}
