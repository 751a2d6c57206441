package table

import (
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var (
	cronSpecDoc   = batchv1.CronJobSpec{}.SwaggerDoc()
	cronStatusDoc = batchv1.CronJobStatus{}.SwaggerDoc()
)

// CronJobColumns are the columns of CronJobs.
var CronJobColumns = []metav1.TableColumnDefinition{
	nameColumn(0),
	column("Schedule", "string", "", cronSpecDoc["schedule"], 0),
	column("Timezone", "string", "", cronSpecDoc["timeZone"], 0),
	column("Suspend", "boolean", "", cronSpecDoc["suspend"], 0),
	column("Active", "integer", "", cronStatusDoc["active"], 0),
	column("Last Schedule", "string", "", cronStatusDoc["lastScheduleTime"], 0),
	ageColumn(),
	column("Containers", "string", "", "Names of each container in the template.", 1),
	column("Images", "string", "", "Images referenced by each container in the template.", 1),
	column("Selector", "string", "", batchv1.JobSpec{}.SwaggerDoc()["selector"], 1),
}

// CronJob gives the cells of a CronJob.
func CronJob(c *batchv1.CronJob) []any {
	zone, last, suspend := none, none, "False"
	if c.Spec.TimeZone != nil {
		zone = *c.Spec.TimeZone
	}
	if c.Status.LastScheduleTime != nil {
		last = since(*c.Status.LastScheduleTime)
	}
	if s := c.Spec.Suspend; s != nil && *s {
		suspend = "True"
	}
	template := &c.Spec.JobTemplate.Spec
	names, images := containers(template.Template.Spec.Containers)
	return []any{c.Name, c.Spec.Schedule, zone, suspend, int64(len(c.Status.Active)), last, since(c.CreationTimestamp),
		names, images, selector(template.Selector)}
}
