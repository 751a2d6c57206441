package api

import (
	"encoding/json"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// metadataAnnotation is where a batch.Job keeps what it has no field for: it is
// changed together with the job, and goes with it. Manifests do not show it.
const metadataAnnotation = "kube.runtocompletion.dev/metadata"

// metadata is what metadataAnnotation holds.
type metadata struct {
	GenerateName    string                      `json:"generateName,omitempty"`
	ManagedFields   []metav1.ManagedFieldsEntry `json:"managedFields,omitempty"`
	OwnerReferences []metav1.OwnerReference     `json:"ownerReferences,omitempty"`
}

// takeMetadata takes the metadata out of a job's annotations. What does not read
// as such is nothing: Go code may set any annotation.
func takeMetadata(annotations map[string]string) metadata {
	var m metadata
	text, ok := annotations[metadataAnnotation]
	if !ok {
		return m
	}
	delete(annotations, metadataAnnotation)
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

// keepMetadata puts what a job has no field for into its annotations.
func keepMetadata(job *batchv1.Job, annotations map[string]string) (map[string]string, error) {
	delete(annotations, metadataAnnotation)
	m := metadata{job.GenerateName, job.ManagedFields, job.OwnerReferences}
	if m.GenerateName == "" && len(m.ManagedFields) == 0 && len(m.OwnerReferences) == 0 {
		return annotations, nil
	}
	text, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	if annotations == nil {
		annotations = make(map[string]string)
	}
	annotations[metadataAnnotation] = string(text)
	return annotations, nil
}
