package cluster

import (
	"cmp"
	"context"
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
