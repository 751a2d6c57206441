package kinds

import (
	"encoding/json"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtocompletion/batch/contrib/kube/internal/convert"
)

// metadata is what a batch.Job or a cron.CronJob has no field for. It is kept in an
// annotation, which is changed together with the job, and goes with it.
type metadata struct {
	GenerateName    string                      `json:"generateName,omitempty"`
	ManagedFields   []metav1.ManagedFieldsEntry `json:"managedFields,omitempty"`
	OwnerReferences []metav1.OwnerReference     `json:"ownerReferences,omitempty"`
	TemplateName    string                      `json:"templateName,omitempty"` // of a CronJob's jobs, which nobody uses
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
func (m metadata) restore(o Object) {
	o.SetGenerateName(m.GenerateName)
	o.SetManagedFields(m.ManagedFields)
	o.SetOwnerReferences(m.OwnerReferences)
	if c, ok := o.(*batchv1.CronJob); ok {
		c.Spec.JobTemplate.Name = m.TemplateName
	}
}

// keepMetadata puts what a job has no field for into its annotations. That it belongs
// to a CronJob is an annotation of its own.
func keepMetadata(o Object, annotations map[string]string) (map[string]string, error) {
	delete(annotations, convert.MetadataAnnotation)
	owners := slices.DeleteFunc(slices.Clone(o.GetOwnerReferences()), isCronJob)
	m := metadata{GenerateName: o.GetGenerateName(), ManagedFields: o.GetManagedFields(), OwnerReferences: owners}
	if c, ok := o.(*batchv1.CronJob); ok {
		m.TemplateName = c.Spec.JobTemplate.Name
	}
	if m.GenerateName == "" && len(m.ManagedFields) == 0 && len(m.OwnerReferences) == 0 && m.TemplateName == "" {
		return annotations, nil
	}
	if annotations == nil {
		annotations = make(map[string]string)
	}
	text, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	annotations[convert.MetadataAnnotation] = string(text)
	return annotations, nil
}
