package cluster

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/internal/effort"
)

// A counter counts the calls of a driver, by what they are about.
type counter struct {
	mu    sync.Mutex // guards the field below
	calls map[string]int
}

func (c *counter) count(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return &countingTripper{next, c} })
	return config
}

// take returns what was counted since it was last called.
func (c *counter) take() (all int, by map[string]int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	by, c.calls = c.calls, nil
	for n := range maps.Values(by) {
		all += n
	}
	return all, by
}

type countingTripper struct {
	next    http.RoundTripper
	counter *counter
}

var nameOfPod = regexp.MustCompile(`/pods/[^/]+`)

func (t *countingTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	key := r.Method + " " + nameOfPod.ReplaceAllString(r.URL.Path, "/pods/NAME")
	t.counter.mu.Lock()
	if t.counter.calls == nil {
		t.counter.calls = make(map[string]int)
	}
	t.counter.calls[key]++
	t.counter.mu.Unlock()
	return t.next.RoundTrip(r)
}

// A thousand pods cost the API server at most ten calls each: nothing is asked for again
// and again.
func TestManyPods(t *testing.T) {
	t.Parallel()
	n := effort.Of(200, 1000)
	p := newStubbedPlace(t)
	calls := new(counter)
	o := p.options()
	o.Config = calls.count(o.Config)
	c := p.service(o)
	_, err := c.Run(t.Context(), squares("many", n))
	require.NoError(t, err)
	results := resultsOf[int](t, c, "many")
	require.Len(t, results, n)
	for index, result := range results {
		require.Equal(t, index*index, result)
	}
	remove(t, c, "many", batch.DeleteForeground)
	p.awaitEmpty()
	all, by := calls.take()
	t.Logf("%d pods, %d calls: %v", n, all, by)
	require.LessOrEqual(t, all, 10*n)
}

// BenchmarkManyPods runs the same Job twice: with a client that creates it, watches it and
// reads the results at the end, and as a job that is handed on.
func BenchmarkManyPods(b *testing.B) {
	n := effort.Of(200, 1000)
	p := newStubbedPlace(b)
	c := p.service(p.options())
	made := 0
	b.Run("client-go", func(b *testing.B) {
		for b.Loop() {
			made++
			require.Len(b, p.runByHand(b, fmt.Sprintf("by-hand-%d", made), n), n)
		}
	})
	b.Run("cluster", func(b *testing.B) {
		for b.Loop() {
			made++
			name := fmt.Sprintf("handed-on-%d", made)
			_, err := c.Run(b.Context(), squares(name, n))
			require.NoError(b, err)
			require.Len(b, resultsOf[int](b, c, name), n)
		}
	})
}

// runByHand is what a program does without this package.
func (p *place) runByHand(b *testing.B, name string, n int) map[int]int {
	job := shellJob(name, int32(n), "true")
	job.Spec.Template.Spec.Containers[0].Env = []corev1.EnvVar{{Name: envSpec}}
	jobs := p.admin.BatchV1().Jobs(p.namespace)
	made, err := jobs.Create(b.Context(), job, metav1.CreateOptions{})
	require.NoError(b, err)
	w, err := jobs.Watch(b.Context(), metav1.ListOptions{FieldSelector: "metadata.name=" + name,
		ResourceVersion: made.ResourceVersion})
	require.NoError(b, err)
	defer w.Stop()
	for e := range w.ResultChan() {
		if isFinished(e.Object.(*batchv1.Job)) {
			break
		}
	}
	list, err := p.admin.CoreV1().Pods(p.namespace).List(b.Context(), metav1.ListOptions{
		LabelSelector: labelJobName + "=" + name})
	require.NoError(b, err)
	results := make(map[int]int)
	for _, pod := range list.Items {
		if m, ok := decodeMessage(terminated(&pod).Message); ok {
			var result int
			require.NoError(b, json.Unmarshal(m.Result, &result))
			results[indexOf(&pod)] = result
		}
	}
	return results
}
