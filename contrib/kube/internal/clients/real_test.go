package clients

import (
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/cron"
	"github.com/runtocompletion/batch/contrib/kube"
)

var real = flag.String("real", "",
	"a kubeconfig of a cluster with a kubelet, whose objects take the place of the recorded ones")

// A scene is a manifest of testdata/real, and when its objects are looked at. A
// CronJob has a job made of it by hand, which is called as it is, and is looked at.
type scene struct {
	name string
	done func(job, pod field) bool
}

// A field looks up a field of an object by its path, nil if it has none.
type field func(path ...string) any

func condition(kind string) func(job, pod field) bool {
	return func(job, _ field) bool {
		list, _ := job("status", "conditions").([]any)
		return slices.ContainsFunc(list, func(c any) bool { return c.(map[string]any)["type"] == kind })
	}
}

func ready(restarts int64) func(job, pod field) bool {
	return func(job, pod field) bool {
		list, _ := pod("status", "containerStatuses").([]any)
		if len(list) == 0 || job("status", "ready") != int64(1) {
			return false
		}
		status := list[0].(map[string]any)
		return status["ready"] == true && status["restartCount"] == restarts
	}
}

var scenes = []scene{
	{"complete", condition("Complete")}, {"failed", condition("Failed")}, {"indexed", condition("Complete")},
	{"restarted", ready(1)}, {"running", ready(0)}, {"suspended", condition("Suspended")}, {"cron", condition("Complete")},
}

// A stage is a server on which scenes are played.
type stage struct {
	testing.TB
	client dynamic.Interface
}

func newStage(t testing.TB, config *rest.Config) *stage {
	client, err := dynamic.NewForConfig(config)
	require.NoError(t, err)
	return &stage{t, client}
}

func (s *stage) of(group, plural string) dynamic.ResourceInterface {
	resource := schema.GroupVersionResource{Group: group, Version: "v1", Resource: plural}
	return s.client.Resource(resource).Namespace(namespace)
}

// play creates the objects of a scene, and returns what has become of them: an object
// or several, by the plurals of their kinds.
func (s *stage) play(c scene) map[string][]map[string]any {
	text := readFile(s, filepath.Join("testdata/real", c.name+".yaml"))
	o := new(unstructured.Unstructured)
	require.NoError(s, yaml.Unmarshal([]byte(text), &o.Object))
	if o.GetKind() == "CronJob" {
		made, err := s.of("batch", "cronjobs").Create(s.Context(), o, metav1.CreateOptions{})
		require.NoError(s, err)
		o = jobFrom(made)
	}
	_, err := s.of("batch", "jobs").Create(s.Context(), o, metav1.CreateOptions{})
	if err != nil && strings.Contains(err.Error(), "this system lets nobody mount it") {
		s.Skip(err)
	}
	require.NoError(s, err)
	var objects map[string][]map[string]any
	require.Eventually(s, func() bool {
		before := objects
		if objects = s.objects(c.name); !reflect.DeepEqual(before, objects) {
			return false // they are listed one kind after the other
		}
		pod := map[string]any{}
		if pods := objects["pods"]; len(pods) > 0 {
			pod = pods[0]
		}
		if len(objects["cronjobs"]) > 0 && look(objects["cronjobs"][0])("status", "lastSuccessfulTime") == nil {
			return false
		}
		return len(objects["jobs"]) == 1 && c.done(look(objects["jobs"][0]), look(pod))
	}, 3*time.Minute, 50*time.Millisecond)
	return objects
}

func look(o map[string]any) field {
	return func(path ...string) any {
		value, _, _ := unstructured.NestedFieldNoCopy(o, path...)
		return value
	}
}

// jobFrom is the job that kubectl create job --from sends.
func jobFrom(cronJob *unstructured.Unstructured) *unstructured.Unstructured {
	template := look(cronJob.Object)("spec", "jobTemplate").(map[string]any)
	o := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "batch/v1", "kind": "Job", "spec": template["spec"], "metadata": map[string]any{}}}
	o.SetName(cronJob.GetName())
	o.SetLabels(map[string]string{"app": "real"})
	o.SetAnnotations(map[string]string{"cronjob.kubernetes.io/instantiate": "manual"})
	o.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: cronJob.GetAPIVersion(), Kind: cronJob.GetKind(),
		Name: cronJob.GetName(), UID: cronJob.GetUID(), Controller: new(true)}})
	return o
}

// objects are those whose name is a scene's, or begins with it.
func (s *stage) objects(name string) map[string][]map[string]any {
	objects := make(map[string][]map[string]any)
	for plural, group := range map[string]string{"jobs": "batch", "cronjobs": "batch", "pods": "", "events": ""} {
		list, err := s.of(group, plural).List(s.Context(), metav1.ListOptions{})
		require.NoError(s, err)
		for _, o := range list.Items {
			if rest, ok := strings.CutPrefix(o.GetName(), name); ok && (rest == "" || rest[0] == '-' || rest[0] == '.') {
				objects[plural] = append(objects[plural], o.Object)
			}
		}
		slices.SortStableFunc(objects[plural], func(a, b map[string]any) int { return strings.Compare(order(a), order(b)) })
	}
	return objects
}

// order puts pods in the order of their indexes, and events of one object together.
func order(o map[string]any) string {
	at := look(o)
	index, _ := at("metadata", "annotations", "batch.kubernetes.io/job-completion-index").(string)
	kind, _ := at("involvedObject", "kind").(string)
	path, _ := at("involvedObject", "fieldPath").(string)
	reason, _ := o["reason"].(string)
	return index + kind + path + reason
}

// TestRealObjects wants the objects of a cluster, field by field, but for those that
// differences has a reason for. With -real they are recorded anew.
func TestRealObjects(t *testing.T) {
	used := make(map[string]bool)
	played := 0
	for _, c := range scenes {
		t.Run(c.name, func(t *testing.T) {
			played++
			file := filepath.Join("testdata/real", c.name+".json")
			if *real != "" {
				record(t, c, file)
			}
			var want map[string][]map[string]any
			require.NoError(t, json.Unmarshal([]byte(readFile(t, file)), &want))
			got := newStage(t, newCronWorld(t).config()).play(c)
			compare(t, plain(t, want), plain(t, got), used)
		})
	}
	if played == len(scenes) && !t.Failed() {
		for _, d := range differences {
			require.True(t, used[d.path], "nothing differs in %s any more", d.path)
		}
	}
}

// newCronWorld is a world with CronJobs, whose containers may run programs.
func newCronWorld(t *testing.T) *world {
	c, err := batch.New(t.Context(), batch.Options{})
	require.NoError(t, err)
	crons, err := cron.New(c, cron.Options{})
	require.NoError(t, err)
	return newWorldOf(t, c, kube.Options{Write: true, CronJobs: crons})
}

func record(t *testing.T, c scene, file string) {
	config, err := clientcmd.BuildConfigFromFlags("", *real)
	require.NoError(t, err)
	s := newStage(t, config)
	s.play(c)
	time.Sleep(2 * time.Second) // a kubelet tells of events and states when it has time
	text, err := json.MarshalIndent(s.objects(c.name), "", " ")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, append(text, '\n'), 0o644))
}

// plain are objects as JSON has them.
func plain(t *testing.T, objects map[string][]map[string]any) (all map[string]any) {
	text, err := json.Marshal(objects)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &all))
	return all
}

func keysOf(a, b map[string]any) []string {
	keys := slices.AppendSeq(slices.Collect(maps.Keys(a)), maps.Keys(b))
	slices.Sort(keys)
	return slices.Compact(keys)
}
