package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/kube/internal/kinds"
)

const tableAccept = "application/json;as=Table;v=v1;g=meta.k8s.io," +
	"application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"

var selectorsTests = map[string]struct {
	path, labels, fields string
	want                 int
}{
	"all jobs":           {path: jobsPath, want: 4},
	"all namespaces":     {path: "/apis/batch/v1/jobs", want: 4},
	"another namespace":  {path: "/apis/batch/v1/namespaces/other/jobs", want: 0},
	"equal":              {path: jobsPath, labels: "odd=true", want: 2},
	"not equal":          {path: jobsPath, labels: "n!=2", want: 3},
	"one of":             {path: jobsPath, labels: "n in (1,2,7)", want: 2},
	"none of":            {path: jobsPath, labels: "n notin (1,2,7)", want: 2},
	"exists":             {path: jobsPath, labels: "n", want: 4},
	"does not exist":     {path: jobsPath, labels: "!n", want: 0},
	"greater":            {path: jobsPath, labels: "n>1", want: 2},
	"by name":            {path: jobsPath, fields: "metadata.name=job-1", want: 1},
	"by another name":    {path: jobsPath, fields: "metadata.name!=job-1", want: 3},
	"by no name":         {path: jobsPath, fields: "metadata.name=job", want: 0},
	"by name and label":  {path: jobsPath, labels: "odd=false", fields: "metadata.name=job-1", want: 0},
	"by successes":       {path: jobsPath, fields: "status.successful=0", want: 4},
	"pods of a job":      {path: podsPath, labels: "job-name=job-3", want: 3},
	"pods of a job, new": {path: podsPath, labels: "batch.kubernetes.io/job-name=job-2", want: 2},
	"pods of two jobs":   {path: podsPath, labels: "job-name in (job-2,job-3)", want: 5},
	"pods of no job":     {path: podsPath, labels: "job-name=job", want: 0},
	"pods that run":      {path: podsPath, fields: "status.phase=Running", want: 6},
	"pods that do not":   {path: podsPath, fields: "status.phase!=Running", want: 0},
	"events of a job": {
		path:   "/api/v1/namespaces/default/events",
		fields: "involvedObject.name=job-3,involvedObject.kind=Job,involvedObject.namespace=default", want: 3,
	},
	"events of a pod": {
		path: "/api/v1/namespaces/default/events", fields: "involvedObject.name=job-3,involvedObject.kind=Pod", want: 0,
	},
	"events by reason":       {path: "/api/v1/events", fields: "reason=SuccessfulCreate", want: 6},
	"the namespace":          {path: "/api/v1/namespaces", fields: "metadata.name=default", want: 1},
	"the namespace by label": {path: "/api/v1/namespaces", labels: "kubernetes.io/metadata.name=default", want: 1},
	"no namespace":           {path: "/api/v1/namespaces", fields: "metadata.name=other", want: 0},
}

func TestSelectors(t *testing.T) {
	w := newWorld(t, Config{})
	for i := range 4 {
		w.create(batch.Job{Name: fmt.Sprint("job-", i), Labels: map[string]string{"n": strconv.Itoa(i),
			"odd": strconv.FormatBool(i%2 == 1)},
			Executor: wait, Parallelism: new(i)})
	}
	w.eventually(func() bool {
		pods := new(corev1.PodList)
		w.get(podsPath+"?fieldSelector=status.phase%3DRunning", pods)
		return len(pods.Items) == 6
	})
	for name, test := range selectorsTests {
		t.Run(name, func(t *testing.T) {
			w := &world{t, w.c, w.server, w.crons}
			path := test.path + "?labelSelector=" + url.QueryEscape(test.labels) + "&fieldSelector=" +
				url.QueryEscape(test.fields)
			var list metav1.PartialObjectMetadataList
			w.get(path, &list)
			require.Len(t, list.Items, test.want)
			require.NotEmpty(t, list.ResourceVersion)
			for _, item := range list.Items {
				require.Empty(t, item.Kind, "items of a list have no kind")
				require.NotEmpty(t, item.ResourceVersion)
				require.NotEmpty(t, item.UID)
			}
			var table metav1.Table
			w.read(w.do(call{method: "GET", path: path, accept: tableAccept}), http.StatusOK, &table)
			require.Len(t, table.Rows, test.want)
		})
	}
}

var badListOptionsTests = map[string]struct {
	query   string
	code    int
	reason  metav1.StatusReason
	message string
}{
	"a label selector that does not parse": {
		query: "labelSelector=a%3D%3D%3Db", code: 400, reason: metav1.StatusReasonBadRequest,
		message: "found '=', expected: identifier",
	},
	"a field selector that does not parse": {
		query: "fieldSelector=a", code: 400, reason: metav1.StatusReasonBadRequest, message: "invalid selector",
	},
	"an unknown field": {
		query: "fieldSelector=spec.x%3D1", code: 400, reason: metav1.StatusReasonBadRequest,
		message: `field label "spec.x" not supported for batchv1.Job`,
	},
	"a limit that is no number": {
		query: "limit=x", code: 400, reason: metav1.StatusReasonBadRequest, message: "invalid syntax",
	},
	"a version that is no number": {
		query: "resourceVersion=x", code: 400, reason: metav1.StatusReasonBadRequest,
		message: `invalid resource version "x"`,
	},
	"a version of the future": {
		query: "resourceVersion=FUTURE", code: 504, reason: metav1.StatusReasonTimeout,
		message: "Too large resource version",
	},
	"an exact version of the past": {
		query: "resourceVersion=1&resourceVersionMatch=Exact", code: 410, reason: metav1.StatusReasonExpired,
		message: "too old",
	},
	"a match without a version": {
		query: "resourceVersionMatch=Exact", code: 422, reason: metav1.StatusReasonInvalid,
		message: "resourceVersionMatch is forbidden unless",
	},
	"initial events of a list": {
		query: "sendInitialEvents=true", code: 422, reason: metav1.StatusReasonInvalid,
		message: "sendInitialEvents is forbidden for list",
	},
	"a token that is none": {
		query: "continue=x", code: 400, reason: metav1.StatusReasonBadRequest, message: "continue key is not valid",
	},
	"an empty token": {
		query: "continue=e30", code: 400, reason: metav1.StatusReasonBadRequest, message: "continue key is not valid",
	},
	"a token and a version": {
		query: "continue=x&resourceVersion=5", code: 400, reason: metav1.StatusReasonBadRequest,
		message: "not allowed when using continue",
	},
	"a token of the past": {
		query: "continue=" + continueToken{continueVersion, 5, "a"}.String(), code: 410, reason: metav1.StatusReasonExpired,
		message: "continue parameter is too old",
	},
	"a query that does not parse": {
		query: "limit=%zz", code: 400, reason: metav1.StatusReasonBadRequest, message: "invalid URL escape",
	},
	"initial events of any version": {
		query: "watch=1&sendInitialEvents=true", code: 422, reason: metav1.StatusReasonInvalid,
		message: "sendInitialEvents requires setting resourceVersionMatch",
	},
	"a watch of the past": {
		query: "watch=1&resourceVersion=5", code: 410, reason: metav1.StatusReasonExpired,
		message: "too old resource version: 5",
	},
}

func TestBadListOptions(t *testing.T) {
	w := newWorld(t, Config{})
	w.create(batch.Job{Name: "a", Executor: wait})
	future := strconv.FormatUint(w.server.host.Cache.Version()+1_000_000, 10)
	for name, test := range badListOptionsTests {
		t.Run(name, func(t *testing.T) {
			w := &world{t, w.c, w.server, w.crons}
			status := w.fails(w.do(call{
				method: "GET", path: jobsPath + "?" + strings.ReplaceAll(test.query, "FUTURE", future),
			}), test.code, test.reason)
			require.Contains(t, status.Message, test.message)
		})
	}
}

func TestChunks(t *testing.T) {
	w := newWorld(t, Config{})
	for i := range 10 {
		w.create(batch.Job{
			Name: fmt.Sprint("job-", i), Executor: wait, Labels: map[string]string{"odd": strconv.Itoa(i % 2)},
		})
	}
	var names []string
	var first batchv1.JobList
	for path, page := jobsPath+"?limit=4", 0; ; page++ {
		var list batchv1.JobList
		w.get(path, &list)
		if page == 0 {
			first = list
			require.Len(t, list.Items, 4)
			require.EqualValues(t, 6, *list.RemainingItemCount)
			require.NoError(t, w.c.Delete(t.Context(), "job-1", batch.DeleteBackground))
			require.NoError(t, w.c.Delete(t.Context(), "job-5", batch.DeleteBackground))
		}
		require.Equal(t, first.ResourceVersion, list.ResourceVersion, "all parts have one version")
		for _, job := range list.Items {
			names = append(names, job.Name)
		}
		if list.Continue == "" {
			require.Nil(t, list.RemainingItemCount)
			break
		}
		path = jobsPath + "?limit=4&continue=" + url.QueryEscape(list.Continue)
	}
	require.Equal(t, []string{"job-0", "job-1", "job-2", "job-3", "job-4", "job-6", "job-7", "job-8", "job-9"}, names)

	watch := w.open(jobsPath+"?watch=1&resourceVersion="+first.ResourceVersion, "")
	require.ElementsMatch(t, []string{"job-1", "job-5"}, []string{
		watch.until("DELETED").Object.Name, watch.until("DELETED").Object.Name,
	})

	var odd batchv1.JobList
	w.get(jobsPath+"?limit=2&labelSelector=odd%3D1", &odd)
	require.Len(t, odd.Items, 2)
	require.NotEmpty(t, odd.Continue)
	require.Nil(t, odd.RemainingItemCount, "nobody knows how many more match")
}

type wantedTable struct {
	path    string
	columns []string
	rows    [][]any // if nil, any
}

// tables are those of a world with the jobs done and queue.
func tables(w *world) map[string]wantedTable {
	return map[string]wantedTable{
		"jobs": {
			path:    jobsPath,
			columns: []string{"Name", "Status", "Completions", "Duration", "Age", "Containers", "Images", "Selector"},
			rows: [][]any{
				{
					"done", "Complete", "2/2", "0s", "0s", "c", "func/hello",
					"batch.kubernetes.io/controller-uid=" + string(w.job("done").UID),
				},
				{
					"queue", "Running", "0/1 of 3", "0s", "0s", "main", "func/queue",
					"batch.kubernetes.io/controller-uid=" + string(w.job("queue").UID),
				}},
		},
		"one job": {
			path: jobsPath + "/queue",
			columns: []string{"Name", "Status", "Completions", "Duration", "Age", "Containers", "Images",
				"Selector"},
			rows: [][]any{
				{
					"queue", "Running", "0/1 of 3", "0s", "0s", "main", "func/queue",
					"batch.kubernetes.io/controller-uid=" + string(w.job("queue").UID),
				}},
		},
		"pods": {
			path:    podsPath,
			columns: []string{"Name", "Ready", "Status", "Restarts", "Age", "IP", "Node", "Nominated Node", "Readiness Gates"},
		},
		"events": {
			path: "/api/v1/events",
			columns: []string{"Last Seen", "Type", "Reason", "Object", "Subobject", "Source", "Message",
				"First Seen", "Count", "Name"},
		},
		"namespaces": {
			path: "/api/v1/namespaces", columns: []string{"Name", "Status", "Age"},
			rows: [][]any{{"default", "Active", "0s"}},
		},
	}
}

func TestTable(t *testing.T) {
	w := newWorld(t, Config{Write: true})
	w.post(manifest("done", "hello", `"completions":2,`))
	w.finish("done")
	w.create(batch.Job{Name: "queue", Executor: wait, Parallelism: new(3)})
	for name, test := range tables(w) {
		t.Run(name, func(t *testing.T) {
			w := &world{t, w.c, w.server, w.crons}
			var table metav1.Table
			w.read(w.do(call{method: "GET", path: test.path, accept: tableAccept}), http.StatusOK, &table)
			require.Equal(t, "Table", table.Kind)
			require.Equal(t, "meta.k8s.io/v1", table.APIVersion)
			require.NotEmpty(t, table.ResourceVersion)
			var columns []string
			for _, c := range table.ColumnDefinitions {
				columns = append(columns, c.Name)
				require.NotEmpty(t, c.Description)
			}
			require.Equal(t, test.columns, columns)
			require.NotEmpty(t, table.Rows)
			for i, row := range table.Rows {
				require.Len(t, row.Cells, len(columns))
				if test.rows != nil {
					require.Equal(t, test.rows[i], row.Cells)
				}
				var meta metav1.PartialObjectMetadata
				require.NoError(t, json.Unmarshal(row.Object.Raw, &meta))
				require.Equal(t, "PartialObjectMetadata", meta.Kind)
				require.NotEmpty(t, meta.Name)
			}
		})
	}
}

func TestIncludeObject(t *testing.T) {
	w := newWorld(t, Config{})
	w.create(batch.Job{Name: "a", Executor: wait})
	for policy, kind := range map[string]string{"": "PartialObjectMetadata", "Metadata": "PartialObjectMetadata",
		"Object": "Job", "None": ""} {
		var table metav1.Table
		w.read(
			w.do(call{method: "GET", path: jobsPath + "?includeObject=" + policy, accept: tableAccept}), http.StatusOK, &table,
		)
		var meta metav1.TypeMeta
		if raw := table.Rows[0].Object.Raw; len(raw) > 0 {
			require.NoError(t, json.Unmarshal(raw, &meta))
		}
		require.Equal(t, kind, meta.Kind, policy)
	}
	w.fails(
		w.do(call{method: "GET", path: jobsPath + "?includeObject=x", accept: tableAccept}), 400,
		metav1.StatusReasonBadRequest,
	)
}

func TestForms(t *testing.T) {
	w := newWorld(t, Config{})
	w.create(batch.Job{Name: "a", Executor: wait})
	tests := map[string]struct{ accept, path, kind string }{
		"no preference":    {path: jobsPath, kind: "JobList"},
		"anything":         {accept: "*/*", path: jobsPath, kind: "JobList"},
		"protobuf or JSON": {accept: "application/vnd.kubernetes.protobuf,application/json", path: jobsPath, kind: "JobList"},
		"metadata": {
			accept: "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json", path: jobsPath,
			kind: "PartialObjectMetadataList",
		},
		"metadata of one": {
			accept: "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1", path: jobsPath + "/a",
			kind: "PartialObjectMetadata",
		},
		"an older table, or JSON": {
			accept: "application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json", path: jobsPath, kind: "JobList",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := &world{t, w.c, w.server, w.crons}
			var meta metav1.TypeMeta
			w.read(w.do(call{method: "GET", path: test.path, accept: test.accept}), http.StatusOK, &meta)
			require.Equal(t, test.kind, meta.Kind)
		})
	}
	w.fails(
		w.do(call{method: "GET", path: jobsPath, accept: "application/vnd.kubernetes.protobuf"}), 406,
		metav1.StatusReasonNotAcceptable,
	)
}

func TestGet(t *testing.T) {
	w := newWorld(t, Config{})
	w.create(batch.Job{Name: "a", Executor: wait, Labels: map[string]string{"x": "y"}})
	job := w.job("a")
	require.Equal(t, "Job", job.Kind)
	require.Equal(t, "batch/v1", job.APIVersion)
	require.Equal(t, "default", job.Namespace)
	require.Equal(t, map[string]string{"x": "y"}, job.Labels)
	again := w.job("a")
	require.Equal(t, job.UID, again.UID)
	for path, message := range map[string]string{
		jobsPath + "/b":                          `jobs.batch "b" not found`,
		"/apis/batch/v1/namespaces/other/jobs/a": `jobs.batch "a" not found`,
		podsPath + "/a-x":                        `pods "a-x" not found`,
		"/api/v1/namespaces/other":               `namespaces "other" not found`,
	} {
		require.Equal(t, message, w.fails(w.do(call{method: "GET", path: path}), 404, metav1.StatusReasonNotFound).Message)
	}
	var pods corev1.PodList
	w.eventually(func() bool {
		w.get(podsPath, &pods)
		return len(pods.Items) == 1 && pods.Items[0].Status.Phase == corev1.PodRunning
	})
	var pod corev1.Pod
	w.get(podsPath+"/"+pods.Items[0].Name, &pod)
	require.Equal(t, pods.Items[0].ResourceVersion, pod.ResourceVersion)
	require.Equal(t, job.UID, pod.OwnerReferences[0].UID)
	var status batchv1.Job
	w.get(jobsPath+"/a/status", &status)
	require.Equal(t, job.UID, status.UID)
}

func TestFinishedCondition(t *testing.T) {
	w := newWorld(t, Config{})
	w.create(batch.Job{Name: "good", Executor: batch.Command{Args: []string{"true"}}})
	w.create(batch.Job{Name: "bad", Executor: batch.Command{Args: []string{"false"}}, BackoffLimit: new(0)})
	w.create(batch.Job{Name: "open", Executor: wait})
	w.finish("good")
	w.finish("bad")
	for name, last := range map[string]batchv1.JobConditionType{"good": batchv1.JobComplete, "bad": batchv1.JobFailed} {
		conditions := w.job(name).Status.Conditions
		require.Equal(t, last, conditions[len(conditions)-1].Type, "scripts look at the last one")
	}
	finished := func(name string) (reason string) {
		for _, c := range w.job(name).Status.Conditions {
			if c.Type == kinds.ConditionFinished {
				require.Equal(t, corev1.ConditionTrue, c.Status)
				reason = c.Reason
			}
		}
		return reason
	}
	require.Equal(t, "CompletionsReached", finished("good"))
	require.Equal(t, "BackoffLimitExceeded", finished("bad"))
	require.Empty(t, finished("open"))
}
