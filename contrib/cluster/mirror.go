package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/runtocompletion/batch"
)

// A podReport is a report with what it is made of.
type podReport struct {
	batch.Report
	running int // pods that have not ended
}

// report says how a Job of the cluster is. Its end is reported when nothing of its pods is
// left to be read.
func (d *driver) report(ctx context.Context, status *batch.Status, found *batchv1.Job) error {
	pods, err := d.podsNow(ctx, found)
	if err != nil {
		return err
	}
	next, err := d.statusOf(status, found)
	if err != nil {
		return err
	}
	next.Pending = countPending(pods)
	events, err := d.eventsOf(found)
	if err != nil {
		return err
	}
	_, err = d.reportPods(ctx, status, pods, func(r *podReport) {
		if !isFinished(found) || r.running == 0 {
			r.Status, r.Events = next, events
		}
	})
	return err
}

// podsNow are the pods of a Job. What is known of them may be older than what is known of
// their Job. When that has ended, all its pods have to have: those that are known will be
// seen to, and if there have been more, they are asked for.
func (d *driver) podsNow(ctx context.Context, found *batchv1.Job) ([]*corev1.Pod, error) {
	pods := d.podsOfJob(found)
	ended, all := countEnded(pods), int(found.Status.Succeeded+found.Status.Failed)
	if !isFinished(found) || ended < len(pods) || ended >= all {
		return pods, nil
	}
	list, err := d.client.CoreV1().Pods(d.o.Namespace).List(ctx, metav1.ListOptions{
		LabelSelector: batchv1.ControllerUidLabel + "=" + string(found.UID)})
	if err != nil {
		return nil, err
	}
	pods = nil
	for i := range list.Items {
		pods = append(pods, &list.Items[i])
	}
	sortPods(pods)
	return pods, nil
}

// reportPods reports what there is to be said of pods, and more, and lets those go that
// have ended. It returns how many have not.
func (d *driver) reportPods(ctx context.Context, status *batch.Status, pods []*corev1.Pod, more func(*podReport)) (
	running int, err error) {
	report, ended, err := d.attemptsOf(ctx, status, pods)
	if err != nil {
		return 0, d.stall(ctx, status, "ResultUnreadable", err.Error())
	}
	more(&report)
	if err := d.controller.Report(ctx, status.Name, report.Report); err != nil {
		return 0, err
	}
	d.logs.drop(report.Logs)
	return report.running, d.settle(ctx, status, ended)
}

func sortPods(pods []*corev1.Pod) {
	slices.SortFunc(pods, func(a, b *corev1.Pod) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
}

// statusOf is the status of a job as the cluster has it.
func (d *driver) statusOf(old *batch.Status, found *batchv1.Job) (*batch.Status, error) {
	s := &found.Status
	next := *old
	next.Active, next.Succeeded, next.Failed = int(s.Active), int(s.Succeeded), int(s.Failed)
	next.Ready, next.Terminating = intOr0(s.Ready), intOr0(s.Terminating)
	next.StartTime, next.CompletionTime = timeOf(s.StartTime), timeOf(s.CompletionTime)
	_, wasSuspended := old.Condition(batch.ConditionSuspended)
	if !old.StartTime.IsZero() && !next.StartTime.Equal(old.StartTime) && !old.Suspend && !wasSuspended {
		next.StartTime = old.StartTime // a suspension that was over before it was seen
	}
	var err error
	if next.CompletedIndexes, err = batch.ParseIndexSet(s.CompletedIndexes); err != nil {
		return nil, err
	}
	next.FailedIndexes = nil
	if s.FailedIndexes != nil {
		set, err := batch.ParseIndexSet(*s.FailedIndexes)
		if err != nil {
			return nil, err
		}
		next.FailedIndexes = &set
	}
	next.Conditions = nil
	for _, c := range s.Conditions {
		next.Conditions = append(next.Conditions, batch.Condition{Type: string(c.Type), Status: string(c.Status),
			Reason: c.Reason, Message: plainMessage(c.Message, found), LastTransitionTime: c.LastTransitionTime.Time})
	}
	stalled, is := d.reach.stalled()
	next.Conditions = withStalled(next.Conditions, stalled, is)
	return &next, nil
}

// withStalled is a list of conditions with that one or without such a one.
func withStalled(list []batch.Condition, stalled batch.Condition, is bool) []batch.Condition {
	list = slices.DeleteFunc(slices.Clone(list),
		func(c batch.Condition) bool { return c.Type == batch.ConditionStalled })
	if is {
		list = append(list, stalled)
	}
	return list
}

var byReservedCode = regexp.MustCompile(
	`^Container \S+ for (pod \S+) failed with exit code (\d+) matching FailJob rule at index \d+$`)

// plainMessage says what a reserved exit code stands for.
func plainMessage(text string, found *batchv1.Job) string {
	match := byReservedCode.FindStringSubmatch(text)
	if match == nil {
		return text
	}
	code, err := strconv.Atoi(match[2])
	if err != nil || !isReserved(code) {
		return text
	}
	who := "Pod" + strings.TrimPrefix(match[1], "pod")
	switch {
	case code >= exitRule:
		return fmt.Sprintf("%s failed with an error matching FailJob rule at index %d", who, code-exitRule)
	case code == exitPermanent:
		return who + " failed with a permanent error"
	case code == exitMissing:
		return who + " has a program without the function or predicate"
	case code == exitBuild:
		return who + " has a program of another build"
	case code == exitTooLarge:
		return who + " leaves more than a termination message can have"
	}
	return text
}

func intOr0(n *int32) int {
	if n == nil {
		return 0
	}
	return int(*n)
}

func timeOf(t *metav1.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.Time
}

func countEnded(pods []*corev1.Pod) (n int) {
	for _, p := range pods {
		if hasEnded(p) {
			n++
		}
	}
	return n
}

func hasEnded(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

func countPending(pods []*corev1.Pod) (n int) {
	for _, p := range pods {
		if p.Status.Phase == corev1.PodPending && p.DeletionTimestamp == nil {
			n++
		}
	}
	return n
}

// attemptsOf reports the pods of a job, and returns those that have ended.
func (d *driver) attemptsOf(ctx context.Context, status *batch.Status, pods []*corev1.Pod) (
	report podReport, ended []*corev1.Pod, err error) {
	report.Report = batch.Report{UID: status.UID, Results: make(map[string]json.RawMessage),
		Logs: make(map[string][]batch.LogLine)}
	numbers := make(map[int]int)
	for i, pod := range pods {
		a := attemptOf(pod)
		a.Number = i
		if a.Index >= 0 {
			a.Number = numbers[a.Index]
			numbers[a.Index]++
		}
		if d.known.has(pod, status.UID) {
			ended = append(ended, pod) // it may not have been let go
			continue
		}
		lines, progress, complete := d.logs.look(pod)
		if len(lines) > 0 {
			report.Logs[a.UID] = lines
		}
		a.Progress = progress
		switch {
		case !hasEnded(pod):
			report.running++
		case !complete:
			report.running++
			a = unread(a)
		default:
			ended = append(ended, pod)
			if err := d.readMessage(ctx, pod, &a, report.Results); err != nil {
				return report, nil, err
			}
		}
		report.Attempts = append(report.Attempts, a)
	}
	return report, ended, nil
}

// unread is an attempt that has ended, and seems to run until its log has been read: of
// one that has ended, nothing changes any more.
func unread(a batch.AttemptStatus) batch.AttemptStatus {
	a.Phase, a.FinishedAt, a.ExitCode, a.Err = batch.AttemptRunning, time.Time{}, nil, nil
	return a
}

// readMessage takes in what a pod has said at its end.
func (d *driver) readMessage(ctx context.Context, pod *corev1.Pod, a *batch.AttemptStatus,
	results map[string]json.RawMessage) error {
	t := terminated(pod)
	if t == nil {
		return nil
	}
	m, ok := decodeMessage(t.Message)
	if !ok {
		if a.Phase == batch.AttemptFailed && a.Message == "" {
			a.Message = fmt.Sprintf("exit code %d", t.ExitCode)
			a.Err = errors.New(a.Message)
		}
		return nil
	}
	a.Output, a.Reason, a.ExitCode = m.Output, cmp.Or(a.Reason, m.Reason), new(m.ExitCode)
	if a.Phase == batch.AttemptFailed {
		a.Message, a.Err = m.Error, errors.New(m.Error)
		return nil
	}
	if m.Stored != "" {
		if d.o.Functions == nil || d.o.Functions.Results == nil {
			return fmt.Errorf("cluster: Options.Functions.Results: nil, and pod %s has left its result there", pod.Name)
		}
		data, err := d.o.Functions.Results.Get(ctx, m.Stored)
		if err != nil {
			return fmt.Errorf("cluster: result of pod %s: %w", pod.Name, err)
		}
		m.Result = data
	}
	if m.Result != nil {
		results[a.UID] = m.Result
	}
	return nil
}

// terminated is how the attempt's container has ended; nil if it has not.
func terminated(pod *corev1.Pod) *corev1.ContainerStateTerminated {
	for _, s := range pod.Status.ContainerStatuses {
		if s.State.Terminated != nil && hasSpec(pod, s.Name) {
			return s.State.Terminated
		}
	}
	return nil
}

// hasSpec reports whether a container is that of the attempt.
func hasSpec(pod *corev1.Pod, container string) bool {
	return slices.ContainsFunc(pod.Spec.Containers, func(c corev1.Container) bool {
		return c.Name == container && slices.ContainsFunc(c.Env,
			func(e corev1.EnvVar) bool { return e.Name == envSpec })
	})
}

// attemptOf is a pod as an attempt, but for what it has said at its end.
func attemptOf(pod *corev1.Pod) batch.AttemptStatus {
	a := batch.AttemptStatus{Name: pod.Name, UID: string(pod.UID), Index: -1, Phase: batch.AttemptPending,
		CreatedAt: pod.CreationTimestamp.Time, Reason: pod.Status.Reason, Message: pod.Status.Message}
	if index, err := strconv.Atoi(pod.Annotations[annotationIdx]); err == nil {
		a.Index = index
	}
	a.Failures, _ = strconv.Atoi(pod.Annotations[batchv1.JobIndexFailureCountAnnotation]) // unset is none
	a.IgnoredFailures, _ = strconv.Atoi(pod.Annotations[batchv1.JobIndexIgnoredFailureCountAnnotation])
	switch pod.Status.Phase {
	case corev1.PodRunning:
		a.Phase = batch.AttemptRunning
	case corev1.PodSucceeded:
		a.Phase = batch.AttemptSucceeded
	case corev1.PodFailed:
		a.Phase = batch.AttemptFailed
	}
	setConditions(&a, pod)
	if pod.DeletionTimestamp != nil {
		grace := time.Duration(0)
		if pod.DeletionGracePeriodSeconds != nil {
			grace = time.Duration(*pod.DeletionGracePeriodSeconds) * time.Second
		}
		a.DeletedAt = pod.DeletionTimestamp.Add(-grace)
	}
	if pod.Status.StartTime != nil && a.Phase != batch.AttemptPending {
		a.StartedAt = pod.Status.StartTime.Time
	}
	if t := terminated(pod); t != nil {
		a.StartedAt, a.FinishedAt, a.ExitCode = t.StartedAt.Time, t.FinishedAt.Time, new(int(t.ExitCode))
	} else if a.Phase == batch.AttemptFailed {
		a.FinishedAt, a.Err = cmp.Or(a.DeletedAt, a.CreatedAt), batch.ErrDisrupted
		a.Message = cmp.Or(a.Message, batch.ErrDisrupted.Error())
	}
	return a
}

func setConditions(a *batch.AttemptStatus, pod *corev1.Pod) {
	for _, c := range pod.Status.Conditions {
		switch c.Type {
		case corev1.PodReady:
			a.Ready = c.Status == corev1.ConditionTrue
		case corev1.DisruptionTarget:
			a.Conditions = append(a.Conditions, batch.Condition{Type: string(c.Type), Status: string(c.Status),
				Reason: c.Reason, Message: c.Message, LastTransitionTime: c.LastTransitionTime.Time})
		}
	}
}

// eventsOf are the events of a Job, oldest first.
func (d *driver) eventsOf(found *batchv1.Job) ([]batch.Event, error) {
	list, err := d.events.List(labels.Everything())
	if err != nil {
		return nil, err
	}
	events := []batch.Event{}
	for _, e := range list {
		if e.InvolvedObject.UID != found.UID {
			continue
		}
		at := e.EventTime.Time
		if !e.LastTimestamp.IsZero() {
			at = e.LastTimestamp.Time
		}
		events = append(events, batch.Event{Type: e.Type, Reason: e.Reason, Message: plainMessage(e.Message, found),
			At: at})
	}
	slices.SortStableFunc(events, func(a, b batch.Event) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Message, b.Message))
	})
	return events, nil
}
