package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/runtocompletion/batch"
)

// A podReport is a report with what it is made of.
type podReport struct {
	batch.Report
	running int // pods that have not ended
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
