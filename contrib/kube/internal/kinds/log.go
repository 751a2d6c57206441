package kinds

import (
	"cmp"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/kube/internal/pod"
	"github.com/runtocompletion/batch/contrib/kube/internal/watchcache"
	"github.com/runtocompletion/batch/contrib/kube/internal/wire"
)

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

// checkContainer refuses to show a log that is not there.
func (h *Host) checkContainer(a *wire.Answer, o *watchcache.Object, options *logOptions) error {
	shown := h.buildPod(o).(*corev1.Pod)
	names := pod.Names(&shown.Spec)
	options.container = cmp.Or(options.container, shown.Spec.Containers[0].Name)
	i := slices.Index(names, options.container)
	if i < 0 {
		return wire.BadRequest("container %s is not valid for pod %s", options.container, shown.Name)
	}
	if o.Pod.StartedAt.IsZero() && o.Pod.FinishedAt.IsZero() {
		return waitsToStart(options.container, shown.Name, "ContainerCreating")
	}
	status := slices.Concat(shown.Status.InitContainerStatuses, shown.Status.ContainerStatuses)[i]
	switch {
	case status.State.Waiting != nil && status.RestartCount == 0 && status.ContainerID == "":
		return waitsToStart(options.container, shown.Name, status.State.Waiting.Reason)
	case !options.previous:
	case status.RestartCount == 0:
		return wire.BadRequest("previous terminated container %q in pod %q not found", options.container, shown.Name)
	case pod.RunsOf(o.Pod.Conditions) == nil:
		options.previous = false
		a.Warn("the log of a pod is one if Go code has made its job: it has the lines of all runs")
	}
	return nil
}

func waitsToStart(container, pod, reason string) error {
	return wire.BadRequest("container %q in pod %q is waiting to start: %s", container, pod, reason)
}

// copyLog writes the lines that are asked for.
func (h *Host) copyLog(a *wire.Answer, o *watchcache.Object, options logOptions) {
	w := newLogWriter(a, &options)
	defer w.close()
	lines := func(follow bool) iter.Seq[logLine] {
		return wholeLines(
			h.Controller.Logs(a.Request.Context(), o.Owner.Status.Name, o.Pod.UID, -1, follow),
		)
	}
	names := pod.Names(&h.owner(o).Spec.Template.Spec)
	kept := sections(lines(false), o.Pod.UID, names, pod.RunsOf(o.Pod.Conditions).Current(names))
	i := find(kept, options.container, options.previous)
	if i < 0 {
		return
	}
	known := kept[i].lines
	if n := len(known); n > 0 && known[n-1].open && options.follow {
		known = known[:n-1] // it comes as a whole
	}
	chosen := slices.Collect(options.choose(slices.Values(known)))
	if options.tail != nil {
		chosen = chosen[max(0, len(chosen)-*options.tail):]
	}
	if w.writeAll(slices.Values(chosen)) && options.follow && i == len(kept)-1 {
		w.writeAll(options.choose(newer(lines(true), kept, o.Pod.UID)))
	}
}

// newer are the lines of a log that are not among those known, up to the end of
// the run.
func newer(lines iter.Seq[logLine], known []section, uid string) iter.Seq[logLine] {
	last := 0
	for _, s := range known {
		for _, line := range s.lines {
			if !line.open {
				last = max(last, line.number)
			}
		}
	}
	runs := len(known)
	return func(yield func(logLine) bool) {
		for line := range lines {
			if _, _, ok := pod.ParseMark(line.Text, uid); ok {
				if runs--; runs == 0 {
					return
				}
			} else if line.number > last {
				line.Dropped = min(line.Dropped, line.number-last-1)
				if !yield(line) {
					return
				}
			}
		}
	}
}

// A logWriter sends lines soon after they are written, many at once if they come
// fast.
type logWriter struct {
	answer  *wire.Answer
	options *logOptions
	left    int64 // bytes, less than zero if there is no limit

	mu      sync.Mutex // guards the fields below, and writes
	timer   *time.Timer
	waiting bool
	closed  bool
}

func newLogWriter(a *wire.Answer, o *logOptions) *logWriter {
	w := &logWriter{answer: a, options: o, left: -1}
	if o.limit != nil {
		w.left = *o.limit
	}
	w.timer = time.AfterFunc(0, w.flush) // the header, at least
	return w
}

// writeAll writes lines, and reports whether more are wanted.
func (w *logWriter) writeAll(lines iter.Seq[logLine]) bool {
	for line := range lines {
		text := w.options.format(line)
		if w.left >= 0 {
			text = text[:min(int64(len(text)), w.left)]
			w.left -= int64(len(text))
		}
		if w.write(text) != nil || w.left == 0 {
			return false
		}
	}
	return true
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

// A logLine is a whole line of an attempt's log.
type logLine struct {
	batch.LogLine
	number int // of its last piece, counted from the beginning of the log
	open   bool
}

// longestLine is up to where a line is put together again that was cut.
const longestLine = 1 << 20

// wholeLines puts the pieces of lines together. What is left of a line that has
// not ended comes last. The walk ends with the client, or the log.
func wholeLines(pieces iter.Seq2[batch.LogLine, error]) iter.Seq[logLine] {
	return func(yield func(logLine) bool) {
		begun := make(map[string]*batch.LogLine) // by stream
		number := 0
		for piece, err := range pieces {
			if err != nil {
				return
			}
			number += 1 + piece.Dropped
			line := begun[piece.Stream]
			if line == nil {
				line = &piece
			} else {
				line.Text, line.Dropped = line.Text+piece.Text, line.Dropped+piece.Dropped
			}
			if piece.Cut && len(line.Text) < longestLine {
				begun[piece.Stream] = line
				continue
			}
			delete(begun, piece.Stream)
			if !yield(logLine{*line, number, piece.Cut}) {
				return
			}
		}
		for _, stream := range []string{"stdout", "stderr"} {
			if line := begun[stream]; line != nil && !yield(logLine{*line, number, true}) {
				return
			}
		}
	}
}

// A section is the lines of one run of a container.
type section struct {
	container string
	run       int
	lines     []logLine
}

// sections tells the lines of an attempt's runs apart. The names are those of its
// containers in their order, and current is the one it is at. What comes before
// the first mark that is still kept is of the run before.
func sections(lines iter.Seq[logLine], uid string, names []string, current string) []section {
	all := []section{{container: names[0]}}
	for line := range lines {
		container, run, ok := pod.ParseMark(line.Text, uid)
		if !ok {
			last := &all[len(all)-1]
			last.lines = append(last.lines, line)
			continue
		}
		if len(all) == 1 {
			all[0] = section{container, run - 1, all[0].lines}
			if i := slices.Index(names, container); run == 0 && i > 0 {
				all[0].container = names[i-1]
			}
		}
		all = append(all, section{container: container, run: run})
	}
	if len(all) == 1 {
		all[0].container = current
	}
	return all
}

// find returns where the latest run of a container is, or the one before that;
// less than zero if it is not kept.
func find(all []section, container string, previous bool) int {
	for i, s := range slices.Backward(all) {
		if s.container == container && !previous {
			return i
		}
		if s.container == container {
			previous = false
		}
	}
	return -1
}

// format writes a line. Lines that are no longer kept leave a note: what is shown
// must not pass for the whole.
func (o *logOptions) format(line logLine) string {
	stamp := ""
	if o.timestamps {
		stamp = line.Time.UTC().Format("2006-01-02T15:04:05.000000000Z07:00") + " "
	}
	text := stamp + line.Text
	if line.Dropped > 0 {
		text = fmt.Sprintf("%s[%d lines are no longer kept]\n", stamp, line.Dropped) + text
	}
	if line.open {
		return text
	}
	return text + "\n"
}
