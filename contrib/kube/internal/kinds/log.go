package kinds

import (
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/kube/internal/watchcache"
	"github.com/runtocompletion/batch/contrib/kube/internal/wire"
)

// logOptions are the parameters of a log.
type logOptions struct {
	container  string
	stream     string // "stdout", "stderr", or empty for both
	follow     bool
	previous   bool
	timestamps bool
	since      time.Time
	until      time.Time // zero: no end
	tail       *int
	limit      *int64
}

// logFlush is how long lines are gathered before they are sent.
const logFlush = 20 * time.Millisecond

// logs answers with the lines that an attempt has written.
func (h *Host) logs(a *wire.Answer, o *watchcache.Object, params url.Values) error {
	options, err := parseLogOptions(params)
	if err != nil {
		return err
	}
	if err := h.checkContainer(a, o, &options); err != nil {
		return err
	}
	if options.follow {
		leave, err := h.Streams.Enter()
		if err != nil {
			return err
		}
		defer leave()
	}
	a.Begin(http.StatusOK, "text/plain")
	h.copyLog(a, o, options)
	return nil
}

func parseLogOptions(params url.Values) (logOptions, error) {
	o := logOptions{container: params.Get("container"), follow: wire.IsTrue(params, "follow"),
		previous: wire.IsTrue(params, "previous"), timestamps: wire.IsTrue(params, "timestamps")}
	number := func(name string, least int64) (*int64, error) {
		text := params.Get(name)
		if text == "" {
			return nil, nil
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < least {
			return nil, wire.BadRequest("%s: %q: must be a number of at least %d", name, text, least)
		}
		return &n, nil
	}
	tail, err1 := number("tailLines", 0)
	seconds, err2 := number("sinceSeconds", 1)
	limit, err3 := number("limitBytes", 1)
	for _, err := range []error{err1, err2, err3, o.parseStream(params.Get("stream"))} {
		if err != nil {
			return o, err
		}
	}
	if tail != nil {
		o.tail = new(int(min(*tail, 1<<30)))
	}
	o.limit = limit
	return o, o.parseSince(seconds, params.Get("sinceTime"))
}

func (o *logOptions) parseStream(name string) error {
	switch name {
	case "", "All":
	case "Stdout", "Stderr":
		o.stream = strings.ToLower(name)
	default:
		return wire.BadRequest("stream: %q: must be All, Stdout or Stderr", name)
	}
	return nil
}

func (o *logOptions) parseSince(seconds *int64, text string) error {
	switch {
	case seconds != nil && text != "":
		return apierrors.NewBadRequest("at most one of `sinceTime` or `sinceSeconds` may be specified")
	case seconds != nil:
		o.since = time.Now().Add(-time.Duration(min(*seconds, int64(100*365*24*60*60))) * time.Second)
	case text != "":
		var err error
		if o.since, err = time.Parse(time.RFC3339, text); err != nil {
			return wire.BadRequest("sinceTime: %v", err)
		}
	}
	return nil
}

// checkContainer refuses to show a log that is not there.
func (h *Host) checkContainer(a *wire.Answer, o *watchcache.Object, options *logOptions) error {
	pod := h.buildPod(o).(*corev1.Pod)
	names := containerNames(pod)
	if options.container == "" {
		if len(pod.Spec.Containers) > 1 {
			return wire.BadRequest("a container name must be specified for pod %s, choose one of: %v", pod.Name, names)
		}
		options.container = pod.Spec.Containers[0].Name
	}
	if !slices.Contains(names, options.container) {
		return wire.BadRequest("container %s is not valid for pod %s", options.container, pod.Name)
	}
	options.splitRuns(pod)
	if options.previous && o.Pod.Restarts > 0 && options.until.IsZero() || len(names) > 1 {
		a.Warn("the log of a pod is one on this server: it has the lines of all containers, and of all their runs")
	}
	switch {
	case options.previous && o.Pod.Restarts == 0:
		return wire.BadRequest("previous terminated container %q in pod %q not found", options.container, pod.Name)
	case o.Pod.StartedAt.IsZero() && o.Pod.FinishedAt.IsZero():
		return wire.BadRequest("container %q in pod %q is waiting to start: ContainerCreating", options.container, pod.Name)
	}
	return nil
}

// splitRuns finds out which lines are of the run that is asked for, if the pod
// knows when the run before the present one ended.
func (o *logOptions) splitRuns(pod *corev1.Pod) {
	for _, c := range pod.Status.ContainerStatuses {
		last := c.LastTerminationState.Terminated
		switch {
		case c.Name != o.container || last == nil:
		case o.previous:
			o.until, o.follow = last.FinishedAt.Time, false
		case c.State.Waiting == nil && o.since.Before(last.FinishedAt.Time):
			o.since = last.FinishedAt.Time
		}
	}
}

func containerNames(pod *corev1.Pod) []string {
	var names []string
	for _, c := range pod.Spec.InitContainers {
		names = append(names, c.Name)
	}
	for _, c := range pod.Spec.Containers {
		names = append(names, c.Name)
	}
	return names
}

// copyLog writes the lines that are asked for.
func (h *Host) copyLog(a *wire.Answer, o *watchcache.Object, options logOptions) {
	w := newLogWriter(a)
	defer w.close()
	lines := h.Controller.Logs(a.Request.Context(), o.Owner.Status.Name, o.Pod.UID, options.choice())
	left := int64(-1)
	if options.limit != nil {
		left = *options.limit
	}
	for line := range options.pick(lines) {
		text := options.format(line)
		if left >= 0 {
			text = text[:min(int64(len(text)), left)]
			left -= int64(len(text))
		}
		if w.write(text) != nil || left == 0 {
			return
		}
	}
}

// choice is what to read of the whole log. The tail of a run that was not the
// last one is not the tail of all.
func (o *logOptions) choice() batch.LogOptions {
	if !o.until.IsZero() {
		return batch.LogOptions{}
	}
	return batch.LogOptions{Follow: o.follow, Tail: o.tail}
}

// pick walks over the lines that are asked for, until the client has gone, or the
// log has.
func (o *logOptions) pick(lines iter.Seq2[batch.LogLine, error]) iter.Seq[batch.LogLine] {
	picked := func(yield func(batch.LogLine) bool) {
		for line, err := range lines {
			if err != nil || o.has(line) && !yield(line) {
				return
			}
		}
	}
	if o.until.IsZero() || o.tail == nil {
		return picked
	}
	all := slices.Collect(picked)
	return slices.Values(all[max(0, len(all)-*o.tail):])
}

// has reports whether a line is asked for.
func (o *logOptions) has(line batch.LogLine) bool {
	return !line.Time.Before(o.since) && (o.until.IsZero() || !line.Time.After(o.until)) &&
		(o.stream == "" || line.Stream == o.stream)
}

// format writes a line. Lines that are no longer kept leave a note: what is shown
// must not pass for the whole.
func (o *logOptions) format(line batch.LogLine) string {
	if line.Dropped > 0 {
		note := fmt.Sprintf("[%d lines are no longer kept]", line.Dropped)
		line.Dropped = 0
		return o.format(batch.LogLine{Time: line.Time, Text: note}) + o.format(line)
	}
	if o.timestamps {
		return line.Time.UTC().Format("2006-01-02T15:04:05.000000000Z07:00") + " " + line.Text + "\n"
	}
	return line.Text + "\n"
}

// A logWriter sends lines soon after they are written, many at once if they come
// fast.
type logWriter struct {
	answer *wire.Answer

	mu      sync.Mutex // guards the fields below, and writes
	timer   *time.Timer
	waiting bool
	closed  bool
}

func newLogWriter(a *wire.Answer) *logWriter {
	w := &logWriter{answer: a}
	w.timer = time.AfterFunc(0, w.flush) // the header, at least
	return w
}

func (w *logWriter) write(text string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.answer.Send([]byte(text), false); err != nil {
		return err
	}
	if !w.waiting {
		w.waiting = true
		w.timer.Reset(logFlush)
	}
	return nil
}

func (w *logWriter) flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting = false
	if !w.closed {
		_ = w.answer.Send(nil, true) // an error shows at the next write
	}
}

// close ends the flushing: the response must not be used after its handler.
func (w *logWriter) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	w.timer.Stop()
}
