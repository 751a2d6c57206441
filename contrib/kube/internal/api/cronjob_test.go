package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
	"github.com/runtocompletion/batch/contrib/cron"
)

const (
	cronJobsPath = "/apis/batch/v1/namespaces/default/cronjobs"
	eventsPath   = "/api/v1/namespaces/default/events"
)

// newCronWorld is newWorldOf with a controller of CronJobs.
func newCronWorld(t *testing.T, store batch.Store) *world {
	c, err := batch.New(t.Context(), batch.Options{Store: store})
	require.NoError(t, err)
	crons, err := cron.New(c, cron.Options{})
	require.NoError(t, err)
	return newWorldOf(t, store, Config{Write: true, Controller: c, CronJobs: crons})
}

// cronManifest is a CronJob that runs a function each minute, with more in its spec.
func cronManifest(name, function, spec string) string {
	return `{"apiVersion":"batch/v1","kind":"CronJob","metadata":{"name":"` + name + `"},"spec":{` + spec +
		`"schedule":"* * * * *","jobTemplate":{"spec":{"template":{"spec":{"restartPolicy":"Never",` +
		`"containers":[{"name":"c","image":"func/` + function + `"}]}}}}}}`
}

func (w *world) postCronJob(body string) *batchv1.CronJob {
	w.Helper()
	c := new(batchv1.CronJob)
	w.read(w.do(call{method: "POST", path: cronJobsPath, body: body}), http.StatusCreated, c)
	return c
}

func (w *world) cronJob(name string) *batchv1.CronJob {
	w.Helper()
	c := new(batchv1.CronJob)
	w.get(cronJobsPath+"/"+name, c)
	return c
}

// from is the job that kubectl create job --from=cronjob/NAME sends.
func from(w *world, c *batchv1.CronJob, name string) string {
	owner := metav1.OwnerReference{
		APIVersion: "batch/v1", Kind: "CronJob", Name: c.Name, UID: c.UID, Controller: new(true),
	}
	job := &batchv1.Job{
		TypeMeta: metav1.TypeMeta{APIVersion: "batch/v1", Kind: "Job"},
		ObjectMeta: metav1.ObjectMeta{Name: name, OwnerReferences: []metav1.OwnerReference{owner},
			Annotations: map[string]string{"cronjob.kubernetes.io/instantiate": "manual"}},
		Spec: c.Spec.JobTemplate.Spec}
	text, err := json.Marshal(job)
	require.NoError(w, err)
	return string(text)
}

var succeed = batch.ExecutorFunc(func(context.Context, batch.Attempt) error { return nil })

// goCronJob is a suspended CronJob of Go code.
func (w *world) goCronJob(name string) {
	w.Helper()
	require.NoError(w, w.crons.Create(w.Context(), cron.CronJob{Name: name, Schedule: "@daily", Suspend: true,
		Job: batch.Job{BackoffLimit: new(2), Executor: succeed}}))
}

// TestOfficialCronJob applies the example of the documentation as it is.
func TestOfficialCronJob(t *testing.T) {
	w := newCronWorld(t, nil)
	const official = `
apiVersion: batch/v1
kind: CronJob
metadata:
  name: hello
spec:
  schedule: "* * * * *"
  jobTemplate:
    spec:
      template:
        spec:
          containers:
          - name: hello
            image: busybox:1.28
            imagePullPolicy: IfNotPresent
            command:
            - /bin/sh
            - -c
            - date; echo Hello from the Kubernetes cluster
          restartPolicy: OnFailure
`
	var c batchv1.CronJob
	w.read(
		w.do(call{method: "POST", path: cronJobsPath, contentType: "application/yaml", body: official}), http.StatusCreated,
		&c,
	)
	require.Equal(t, batchv1.AllowConcurrent, c.Spec.ConcurrencyPolicy)
	require.EqualValues(t, 3, *c.Spec.SuccessfulJobsHistoryLimit)
	require.False(t, *c.Spec.Suspend)
	template := c.Spec.JobTemplate.Spec
	require.Equal(t, "busybox:1.28", template.Template.Spec.Containers[0].Image)
	require.Nil(t, template.CompletionMode, "only jobs have the defaults of jobs")
	require.Empty(t, c.Spec.JobTemplate.Annotations)
	w.read(w.do(call{method: "POST", path: jobsPath, body: from(w, &c, "now")}), http.StatusCreated, new(batchv1.Job))
	w.finish("now")
	require.EqualValues(t, 1, w.job("now").Status.Succeeded)
	log := w.do(call{method: "GET", path: podsPath + "/" + w.pods("now")[0].Name + "/log"}).Body.String()
	require.Contains(t, log, "Hello from the Kubernetes cluster")
}

// TestCronJobRuns wants jobs to come by the schedule, with what clients see of them.
func TestCronJobRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newCronWorld(t, nil)
		w.postCronJob(cronManifest("a", "wait", `"concurrencyPolicy":"Forbid","timeZone":"Etc/UTC",`))
		require.Equal(t, []any{"a", "* * * * *", "Etc/UTC", "False", float64(0), "<none>", "0s"}, w.row(cronJobsPath)[:7])
		time.Sleep(61 * time.Second)
		c := w.cronJob("a")
		require.Len(t, c.Status.Active, 1)
		job := w.job(c.Status.Active[0].Name)
		require.Equal(t, c.Status.Active[0].UID, job.UID)
		require.Equal(t, []metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "CronJob", Name: "a", UID: c.UID,
			Controller: new(true), BlockOwnerDeletion: new(true)}}, job.OwnerReferences)
		require.Equal(t, map[string]string{cron.ScheduledAnnotation: "2000-01-01T00:01:00Z"}, job.Annotations)
		require.Equal(t, "func/wait", job.Spec.Template.Spec.Containers[0].Image)
		require.Equal(t, job.Name, w.pods(job.Name)[0].Labels["batch.kubernetes.io/job-name"])
		require.Equal(t, []any{"a", "* * * * *", "Etc/UTC", "False", float64(1), "1s", "61s"}, w.row(cronJobsPath)[:7])
		time.Sleep(2 * time.Minute)

		var events corev1.EventList
		w.get(
			eventsPath+"?fieldSelector=involvedObject.kind=CronJob,involvedObject.name=a,involvedObject.uid="+string(c.UID),
			&events,
		)
		require.Equal(t, []string{"SuccessfulCreate", "JobAlreadyActive"}, reasonsOf(&events))
		require.Equal(t, "cronjob-controller", events.Items[0].Source.Component)
		w.read(w.do(call{method: "DELETE", path: cronJobsPath + "/a"}), http.StatusOK, new(metav1.Status))
		w.fails(w.do(call{method: "GET", path: cronJobsPath + "/a"}), http.StatusNotFound, metav1.StatusReasonNotFound)
		synctest.Wait()
		w.fails(w.do(call{method: "GET", path: jobsPath + "/" + job.Name}), http.StatusNotFound, metav1.StatusReasonNotFound)
		w.get(eventsPath+"?fieldSelector=involvedObject.kind=CronJob", &events)
		require.Empty(t, events.Items)
	})
}

// row are the cells of the only object at a path.
func (w *world) row(path string) []any {
	w.Helper()
	var table metav1.Table
	w.read(
		w.do(call{method: "GET", path: path, accept: "application/json;as=Table;v=v1;g=meta.k8s.io"}), http.StatusOK, &table,
	)
	require.Len(w, table.Rows, 1)
	return table.Rows[0].Cells
}

func reasonsOf(events *corev1.EventList) (reasons []string) {
	for _, e := range events.Items {
		reasons = append(reasons, e.Reason)
	}
	return reasons
}

// TestCreateJobFrom does what kubectl create job --from does, with CronJobs of clients
// and of Go code.
func TestCreateJobFrom(t *testing.T) {
	w := newCronWorld(t, nil)
	w.postCronJob(cronManifest("client", "hello", `"suspend":true,`))
	w.goCronJob("code")
	for _, name := range []string{"client", "code"} {
		c := w.cronJob(name)
		var dry, job batchv1.Job
		body := from(w, c, name+"-now")
		w.read(w.do(call{method: "POST", path: jobsPath + "?dryRun=All", body: body}), http.StatusCreated, &dry)
		w.read(w.do(call{method: "POST", path: jobsPath, body: body}), http.StatusCreated, &job)
		want := []metav1.OwnerReference{
			{APIVersion: "batch/v1", Kind: "CronJob", Name: name, UID: c.UID, Controller: new(true)}}
		require.Equal(t, want, job.OwnerReferences)
		require.Equal(t, want, dry.OwnerReferences)
		require.Equal(t, map[string]string{"cronjob.kubernetes.io/instantiate": "manual"}, job.Annotations)
		require.Len(t, job.ManagedFields, 1)
		w.finish(job.Name)
		require.EqualValues(t, 1, w.job(job.Name).Status.Succeeded)
		var labelled batchv1.Job
		w.read(w.do(call{method: "PATCH", path: jobsPath + "/" + job.Name, contentType: "application/merge-patch+json",
			body: `{"metadata":{"labels":{"x":"y"}}}`}), http.StatusOK, &labelled)
		require.Equal(t, want, labelled.OwnerReferences, "a change does not lose the owner")
	}
	other := strings.Replace(from(w, w.cronJob("client"), "other"), "func/hello", "func/wait", 1)
	require.Equal(t, "func/wait", w.post(other).Spec.Template.Spec.Containers[0].Image, "as the user has edited it")
	require.Len(t, w.job("other").OwnerReferences, 1)

	gone := w.cronJob("client")
	gone.UID = "another"
	status := w.fails(
		w.do(call{method: "POST", path: jobsPath, body: from(w, gone, "b")}), 422, metav1.StatusReasonInvalid,
	)
	require.Equal(t, "metadata.ownerReferences[0]", status.Details.Causes[0].Field)
	spoofed := strings.Replace(manifest("b", "hello", ""), `"name":"b"`,
		`"name":"b","annotations":{"`+cron.OwnerAnnotation+`":"`+string(w.cronJob("code").UID)+`"}`, 1)
	require.Empty(t, w.post(spoofed).OwnerReferences)
}

const merge = "application/merge-patch+json"

// patchCronJob patches a CronJob, with a query that begins with "?".
func (w *world) patchCronJob(name, contentType, query, body string) *batchv1.CronJob {
	w.Helper()
	changed := new(batchv1.CronJob)
	w.read(w.do(call{method: "PATCH", path: cronJobsPath + "/" + name + query, contentType: contentType, body: body}),
		http.StatusOK, changed)
	return changed
}

// TestCronJobChanges changes a CronJob in all the ways there are.
func TestCronJobChanges(t *testing.T) {
	w := newCronWorld(t, nil)
	c := w.postCronJob(cronManifest("a", "hello", `"suspend":true,`))
	require.False(t, *w.patchCronJob("a", merge, "?dryRun=All", `{"spec":{"suspend":false}}`).Spec.Suspend)
	require.Equal(t, c.ResourceVersion, w.cronJob("a").ResourceVersion, "a dry run changes nothing")
	hourly := w.patchCronJob("a", merge, "", `{"spec":{"schedule":"@hourly","startingDeadlineSeconds":0}}`)
	require.EqualValues(t, 2, hourly.Generation)
	require.EqualValues(t, 0, *hourly.Spec.StartingDeadlineSeconds)
	same := w.patchCronJob("a", merge, "", `{"spec":{"schedule":"@hourly"}}`)
	require.Equal(t, hourly.ResourceVersion, same.ResourceVersion)

	image := w.patchCronJob("a", "application/strategic-merge-patch+json", "",
		`{"spec":{"jobTemplate":{"spec":{"template":{"spec":{"containers":[{"name":"c","image":"func/wait"}]}}}}}}`)
	require.Equal(t, "func/wait", image.Spec.JobTemplate.Spec.Template.Spec.Containers[0].Image)
	require.EqualValues(t, 3, image.Generation)
	applied := w.patchCronJob("a", "application/apply-patch+yaml", "?fieldManager=m&force=true",
		`{"apiVersion":"batch/v1","kind":"CronJob","metadata":{"name":"a"},"spec":{"schedule":"@daily"}}`)
	require.Equal(t, "@daily", applied.Spec.Schedule)
	stale, err := json.Marshal(c)
	require.NoError(t, err)
	w.fails(
		w.do(call{method: "PUT", path: cronJobsPath + "/a", body: string(stale)}), http.StatusConflict,
		metav1.StatusReasonConflict,
	)
}

// TestCronJobIsRefused wants what cannot be to be told by field, also in a change.
func TestCronJobIsRefused(t *testing.T) {
	w := newCronWorld(t, nil)
	w.postCronJob(cronManifest("a", "hello", `"suspend":true,`))
	before := w.cronJob("a")
	const containers = `{"spec":{"jobTemplate":{"spec":{"template":{"spec":{"containers":[{"name":"c",` +
		`"image":"func/unknown"}]}}}}}}`
	for field, body := range map[string]string{
		"spec.schedule":                     `{"spec":{"schedule":"61 * * * *"}}`,
		"spec.timeZone":                     `{"spec":{"timeZone":"Mars/Base"}}`,
		"spec.jobTemplate.spec.parallelism": `{"spec":{"jobTemplate":{"spec":{"parallelism":-1}}}}`,
		"metadata.finalizers":               `{"metadata":{"finalizers":["x.y/z"]}}`,
		"spec.jobTemplate.spec.template.spec.containers[0].image": containers,
	} {
		rec := w.do(call{method: "PATCH", path: cronJobsPath + "/a", contentType: merge, body: body})
		require.Equal(t, field, w.fails(rec, 422, metav1.StatusReasonInvalid).Details.Causes[0].Field)
	}
	require.Equal(t, before, w.cronJob("a"))
	rec := w.do(call{method: "POST", path: cronJobsPath, body: cronManifest("b", "unknown", "")})
	require.Equal(t, "spec.jobTemplate.spec.template.spec.containers[0].image",
		w.fails(rec, 422, metav1.StatusReasonInvalid).Details.Causes[0].Field)
	w.fails(
		w.do(call{method: "POST", path: cronJobsPath, body: cronManifest("a", "hello", "")}), 409,
		metav1.StatusReasonAlreadyExists,
	)
}

// TestCronJobOfGoCode can be changed in its numbers, and keeps its executor.
func TestCronJobOfGoCode(t *testing.T) {
	w := newCronWorld(t, nil)
	w.goCronJob("code")
	require.False(t, *w.patchCronJob("code", merge, "", `{"spec":{"suspend":false}}`).Spec.Suspend)
	limit := w.patchCronJob("code", merge, "", `{"spec":{"jobTemplate":{"spec":{"backoffLimit":5}}}}`)
	require.EqualValues(t, 5, *limit.Spec.JobTemplate.Spec.BackoffLimit)
	rec := w.do(call{method: "PATCH", path: cronJobsPath + "/code", contentType: merge,
		body: `{"spec":{"jobTemplate":{"spec":{"template":{"spec":{"hostname":"x"}}}}}}`})
	require.Equal(t, "spec.jobTemplate.spec", w.fails(rec, 422, metav1.StatusReasonInvalid).Details.Causes[0].Field)
	spec, err := w.crons.CronJob("code")
	require.NoError(t, err)
	require.NotNil(t, spec.Job.Executor)
	require.Equal(t, 5, *spec.Job.BackoffLimit)
}

// TestCronJobCascades deletes a CronJob, and its job with it, before it, or not.
func TestCronJobCascades(t *testing.T) {
	w := newCronWorld(t, nil)
	for _, how := range []string{"Background", "Foreground", "Orphan"} {
		name := strings.ToLower(how)
		c := w.postCronJob(cronManifest(name, "wait", `"suspend":true,`))
		owned := from(w, c, name+"-job")
		if how == "Foreground" { // waits for those that are not made by hand
			owned = strings.Replace(owned, `"cronjob.kubernetes.io/instantiate":"manual"`, "", 1)
		}
		w.post(owned)
		w.eventually(func() bool { // the controller has seen that it has this job
			events, err := w.crons.Events(name)
			require.NoError(t, err)
			return len(events) > 0 && events[0].Reason == "UnexpectedJob"
		})
		rec := w.do(call{method: "DELETE", path: cronJobsPath + "/" + name, body: `{"propagationPolicy":"` + how + `"}`})
		require.Equal(t, http.StatusOK, rec.Code, rec.Body)
		w.eventually(func() bool {
			return w.do(call{method: "GET", path: cronJobsPath + "/" + name}).Code == http.StatusNotFound
		})
		if how == "Orphan" {
			require.Empty(t, w.job("orphan-job").OwnerReferences)
			require.EqualValues(t, 1, w.job("orphan-job").Status.Active)
			continue
		}
		w.eventually(func() bool {
			return w.do(call{method: "GET", path: jobsPath + "/" + name + "-job"}).Code == http.StatusNotFound
		})
	}
}

// TestWatchCronJobs follows CronJobs and their events.
func TestWatchCronJobs(t *testing.T) {
	w := newCronWorld(t, nil)
	w.goCronJob("before")
	watch := w.open(cronJobsPath+"?watch=1", "")
	require.Equal(t, "before", watch.until("ADDED").Object.Name)
	c := w.postCronJob(cronManifest("a", "hello", `"suspend":true,`))
	require.Equal(t, c.UID, watch.until("ADDED").Object.UID)
	require.NoError(t, w.crons.Resume(t.Context(), "a"))
	require.Greater(t, watch.until("MODIFIED").Object.ResourceVersion, c.ResourceVersion)
	events := w.open(eventsPath+"?watch=1&fieldSelector=involvedObject.kind=CronJob", "")
	require.NoError(t, w.crons.Create(t.Context(), cron.CronJob{Name: "never", Schedule: "0 0 30 2 *",
		Job: batch.Job{Executor: succeed}}))
	require.Contains(t, events.until("ADDED").Object.Name, "never.")
	require.NoError(t, w.crons.Delete(t.Context(), "a", batch.DeleteBackground))
	require.Equal(t, c.UID, watch.until("DELETED").Object.UID)
	require.NoError(t, w.crons.Delete(t.Context(), "never", batch.DeleteBackground))
	require.Contains(t, events.until("DELETED").Object.Name, "never.")
}

// TestCronJobsAfterARestart wants CronJobs of clients to go on, with the jobs they have.
func TestCronJobsAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(batchtest.MemoryStore)
		w := newCronWorld(t, store)
		c := w.postCronJob(cronManifest("a", "wait", `"concurrencyPolicy":"Forbid",`))
		time.Sleep(61 * time.Second)
		job := w.job(w.cronJob("a").Status.Active[0].Name)
		w.end()

		w = newCronWorld(t, store)
		synctest.Wait()
		again := w.cronJob("a")
		require.Equal(t, c.UID, again.UID)
		require.Equal(t, c.Spec, again.Spec)
		require.Equal(t, c.ManagedFields, again.ManagedFields)
		require.Equal(t, job.OwnerReferences, w.job(job.Name).OwnerReferences)
		require.Equal(t, job.Spec, w.job(job.Name).Spec)
		time.Sleep(time.Minute)
		require.EqualValues(t, 1, w.job(job.Name).Status.Active, "it runs again")
		require.NoError(t, w.c.Delete(t.Context(), job.Name, batch.DeleteBackground))
		time.Sleep(time.Minute)
		require.Len(t, w.cronJob("a").Status.Active, 1, "and so does the next one")
	})
}

// TestCronJobsAreServedIfAsked: discovery and explain know them only with a controller.
func TestCronJobsAreServedIfAsked(t *testing.T) {
	var list metav1.APIResourceList
	newWorld(t, Config{}).get("/apis/batch/v1", &list)
	require.Equal(t, "jobs", list.APIResources[0].Name)
	w := newCronWorld(t, nil)
	w.get("/apis/batch/v1", &list)
	require.Equal(t, "cronjobs", list.APIResources[0].Name)
	require.Equal(t, []string{"cj"}, list.APIResources[0].ShortNames)
	var document struct {
		Components struct {
			Schemas map[string]struct{ Properties map[string]any }
		}
	}
	w.get("/openapi/v3/apis/batch/v1", &document)
	require.Contains(t, document.Components.Schemas["io.k8s.api.batch.v1.CronJobSpec"].Properties, "timeZone")
	w.fails(
		newWorld(t, Config{}).do(call{method: "GET", path: cronJobsPath}), http.StatusNotFound, metav1.StatusReasonNotFound,
	)
}
