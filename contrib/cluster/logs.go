package cluster

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/runtocompletion/batch"
)

// logs follows the logs of pods while they run. What was printed before this process
// looked is read from the beginning, but not of pods that had ended before it began: of
// these there may be very many.
type logs struct {
	d      *driver
	ctx    context.Context // ends with wait
	cancel context.CancelFunc
	group  sync.WaitGroup

	mu       sync.Mutex // guards the field below
	followed map[types.UID]*podLog
}

// A podLog is what was read of a pod's log.
type podLog struct {
	mu       sync.Mutex // guards the fields below
	lines    []batch.LogLine
	progress batch.Progress
	complete bool
}

func newLogs(d *driver) *logs {
	ctx, cancel := context.WithCancel(context.Background())
	return &logs{d: d, ctx: ctx, cancel: cancel, followed: make(map[types.UID]*podLog)}
}

// wait ends all reading.
func (l *logs) wait() {
	l.cancel()
	l.group.Wait()
}

// look returns what was read of a pod's log and has not been dropped, and whether that was
// all.
func (l *logs) look(pod *corev1.Pod) (lines []batch.LogLine, progress batch.Progress, complete bool) {
	p := l.follow(pod)
	if p == nil {
		return nil, batch.Progress{}, true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.lines), p.progress, p.complete
}

// drop drops lines that have been reported, by the UIDs of pods.
func (l *logs) drop(reported map[string][]batch.LogLine) {
	for uid, lines := range reported {
		l.mu.Lock()
		p := l.followed[types.UID(uid)]
		l.mu.Unlock()
		if p == nil {
			continue
		}
		p.mu.Lock()
		p.lines = slices.Delete(p.lines, 0, len(lines))
		p.mu.Unlock()
	}
}

// follow begins to read the log of a pod that has one; nil if it has none.
func (l *logs) follow(pod *corev1.Pod) *podLog {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.followed[pod.UID]; p != nil {
		return p
	}
	container, hasOne := l.containerOf(pod)
	if !hasOne || l.ctx.Err() != nil {
		return nil
	}
	p := new(podLog)
	l.followed[pod.UID] = p
	job, namespace, name := pod.Labels[labelJobName], pod.Namespace, pod.Name
	l.group.Go(func() {
		l.read(p, namespace, name, container, job)
		p.mu.Lock()
		p.complete = true
		p.mu.Unlock()
		l.d.queue.AddAfter(job, patience)
	})
	return p
}

// containerOf is the container of the attempt, if it has started and is to be read.
func (l *logs) containerOf(pod *corev1.Pod) (name string, ok bool) {
	for _, s := range pod.Status.ContainerStatuses {
		if !hasSpec(pod, s.Name) {
			continue
		}
		t := s.State.Terminated
		return s.Name, s.State.Running != nil || t != nil && (t.FinishedAt.After(l.d.begun) || t.ExitCode != 0)
	}
	return "", false
}

// read reads a log to its end. A log that cannot be read is as one that has ended.
func (l *logs) read(p *podLog, namespace, pod, container, job string) {
	var since *time.Time
	for l.ctx.Err() == nil {
		last, err := l.stream(p, namespace, pod, container, job, since)
		if err == nil || last == nil || since != nil && last.Equal(*since) {
			return
		}
		since = last
	}
}

// stream reads a log from after an instant on, and returns the time of its last line.
func (l *logs) stream(p *podLog, namespace, pod, container, job string, since *time.Time) (last *time.Time, err error) {
	o := &corev1.PodLogOptions{Container: container, Follow: true, Timestamps: true}
	if since != nil {
		o.SinceSeconds = new(max(1, int64(time.Since(*since).Seconds())+2))
	}
	body, err := l.d.client.CoreV1().Pods(namespace).GetLogs(pod, o).Stream(l.ctx)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	last = since
	in := bufio.NewReader(body)
	for {
		text, err := in.ReadString('\n')
		if at, line, ok := strings.Cut(strings.TrimSuffix(text, "\n"), " "); ok {
			if when, err := time.Parse(time.RFC3339Nano, at); err == nil && (last == nil || when.After(*last)) {
				last = &when
				p.add(when, line)
				l.d.queue.AddAfter(job, patience)
			}
		}
		if err == io.EOF {
			return last, nil
		}
		if err != nil {
			return last, err
		}
	}
}

// add takes in a line, which may be one about progress.
func (p *podLog) add(at time.Time, line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if data, ok := strings.CutPrefix(line, progressMark); ok {
		if json.Unmarshal([]byte(data), &p.progress) == nil {
			return
		}
	}
	p.lines = append(p.lines, batch.LogLine{Time: at, Stream: "stdout", Text: line})
}

// forget forgets what was read of a pod's log.
func (l *logs) forget(uid types.UID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.followed, uid)
}
