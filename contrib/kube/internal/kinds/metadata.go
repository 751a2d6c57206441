package kinds

import (
	"encoding/json"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtocompletion/batch/contrib/kube/internal/convert"
)

// metadata is what a batch.Job has no field for. It is kept in an annotation,
// which is changed together with the job, and goes with it.
type metadata struct {
	GenerateName    string                      `json:"generateName,omitempty"`
	ManagedFields   []metav1.ManagedFieldsEntry `json:"managedFields,omitempty"`
	OwnerReferences []metav1.OwnerReference     `json:"ownerReferences,omitempty"`
}

// takeMetadata takes the metadata out of a job's annotations. What does not read
// as such is nothing: Go code may set any annotation.
func takeMetadata(annotations map[string]string) metadata {
	var m metadata
	text, ok := annotations[convert.MetadataAnnotation]
	if !ok {
		return m
	}
	delete(annotations, convert.MetadataAnnotation)
	if json.Unmarshal([]byte(text), &m) != nil {
		return metadata{}
	}
	return m
}

// restore puts the metadata where it belongs in a manifest.
func (m metadata) restore(job *batchv1.Job) {
	job.GenerateName = m.GenerateName
	job.ManagedFields = m.ManagedFields
	job.OwnerReferences = m.OwnerReferences
}

// keepMetadata puts what a job has no field for into its annotations, which must
// not be nil.
func keepMetadata(job *batchv1.Job, annotations map[string]string) (map[string]string, error) {
	delete(annotations, convert.MetadataAnnotation)
	m := metadata{job.GenerateName, job.ManagedFields, job.OwnerReferences}
	if m.GenerateName == "" && len(m.ManagedFields) == 0 && len(m.OwnerReferences) == 0 {
		return annotations, nil
	}
	text, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	annotations[convert.MetadataAnnotation] = string(text)
	return annotations, nil
}
