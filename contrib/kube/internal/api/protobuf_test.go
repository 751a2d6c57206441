package api

import (
	"context"
	"encoding/binary"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/kube/internal/wire"
)

// inProtobufToo asks for what is at a path in both encodings, while it does not change, and
// wants the same.
func inProtobufToo(t *testing.T, w *world, path string, inJSON, other runtime.Object) {
	t.Helper()
	var rec, text *httptest.ResponseRecorder
	w.eventually(func() bool {
		text = w.do(call{method: "GET", path: path})
		rec = w.do(call{method: "GET", path: path, accept: wire.Protobuf + "," + wire.JSON})
		return w.do(call{method: "GET", path: path}).Body.String() == text.Body.String()
	})
	w.read(text, http.StatusOK, inJSON)
	require.Equal(t, wire.Protobuf, rec.Header().Get("Content-Type"))
	decode(t, rec.Body.Bytes(), other)
	require.NotEmpty(t, other.GetObjectKind().GroupVersionKind().Kind)
	inJSON.GetObjectKind().SetGroupVersionKind(other.GetObjectKind().GroupVersionKind())
	require.Equal(t, inJSON, other, path)
}

func decode(t *testing.T, data []byte, into runtime.Object) {
	t.Helper()
	scheme := newScheme()
	require.NoError(t, eventsv1.AddToScheme(scheme))
	_, _, err := protobuf.NewSerializer(scheme, scheme).Decode(data, nil, into)
	require.NoError(t, err)
}

// TestProtobuf wants objects, pages and watches to say the same in protobuf as in JSON.
func TestProtobuf(t *testing.T) {
	w := newWorld(t, Config{Write: true})
	w.create(batch.Job{Name: "a", Executor: wait, Labels: map[string]string{"l": "v"}})
	w.eventually(func() bool { return len(w.pods("a")) == 1 && w.pods("a")[0].Status.Phase == corev1.PodRunning })
	inProtobufToo(t, w, jobsPath+"/a", new(batchv1.Job), new(batchv1.Job))
	inProtobufToo(t, w, podsPath+"/"+w.pods("a")[0].Name, new(corev1.Pod), new(corev1.Pod))
	inProtobufToo(t, w, "/api/v1/namespaces/default", new(corev1.Namespace), new(corev1.Namespace))
	inProtobufToo(t, w, jobsPath+"?limit=5", new(batchv1.JobList), new(batchv1.JobList))
	inProtobufToo(t, w, podsPath+"?limit=5", new(corev1.PodList), new(corev1.PodList))
	inProtobufToo(t, w, "/api/v1/events?limit=500", new(corev1.EventList), new(corev1.EventList))
	inProtobufToo(t, w, "/apis/events.k8s.io/v1/events?limit=500", new(eventsv1.EventList), new(eventsv1.EventList))

	var made batchv1.Job
	rec := w.do(call{method: "POST", path: jobsPath, accept: wire.Protobuf, body: `{"metadata":{"name":"b"},` +
		`"spec":{"suspend":true,"template":{"spec":{"restartPolicy":"Never",` +
		`"containers":[{"name":"main","image":"func/wait"}]}}}}`})
	require.Equal(t, http.StatusCreated, rec.Code, rec.Body.String())
	decode(t, rec.Body.Bytes(), &made)
	require.Equal(t, w.job("b").UID, made.UID)

	status := w.fails(w.do(call{method: "GET", path: jobsPath + "/c", accept: wire.Protobuf}), 404, "NotFound")
	require.Contains(t, status.Message, `"c" not found`, "errors are JSON")
}

// TestProtobufWatch reads the frames of a watch.
func TestProtobufWatch(t *testing.T) {
	w := newWorld(t, Config{})
	w.create(batch.Job{Name: "a", Executor: wait, Suspend: true})
	ctx, cancel := context.WithCancel(t.Context())
	r := httptest.NewRequestWithContext(ctx, "GET", "http://localhost"+jobsPath+"?watch=1&sendInitialEvents=true"+
		"&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true", nil)
	r.Header.Set("Accept", wire.Protobuf)
	sent := &recorder{counter: newCounter()}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.server.ServeHTTP(sent, r)
	}()
	w.eventually(func() bool { return sent.count("BOOKMARK") == 1 })
	require.NoError(t, w.c.Delete(t.Context(), "a", batch.DeleteBackground))
	w.eventually(func() bool { return sent.count("DELETED") == 1 })
	cancel()
	<-ended
	require.Equal(t, wire.Protobuf+";stream=watch", sent.header.Get("Content-Type"))
	var types []string
	for data := sent.buffer.Bytes(); len(data) > 0; {
		n := binary.BigEndian.Uint32(data)
		var event metav1.WatchEvent
		require.NoError(t, event.Unmarshal(data[4:4+n]))
		data = data[4+n:]
		var job batchv1.Job
		decode(t, event.Object.Raw, &job)
		require.NotEmpty(t, job.ResourceVersion)
		require.Equal(t, event.Type != "BOOKMARK", job.Name == "a")
		types = append(types, event.Type)
	}
	require.Equal(t, []string{"ADDED", "BOOKMARK", "DELETED"}, types)
}
