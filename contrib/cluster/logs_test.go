package cluster

import (
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"github.com/runtocompletion/batch"
)

// A pod has ended when its log has been read. Until then it runs, and lines stay until
// they have been reported.
func TestUnreadLog(t *testing.T) {
	d := &driver{known: newKnown()}
	d.logs = newLogs(d)
	pod := fullPod()
	log := &podLog{lines: []batch.LogLine{{Text: "one"}, {Text: "two"}}}
	d.logs.followed[pod.UID] = log
	look := func() (podReport, []*corev1.Pod) {
		report, ended, err := d.attemptsOf(t.Context(), &batch.Status{UID: "job"}, []*corev1.Pod{pod})
		require.NoError(t, err)
		return report, ended
	}
	for range 2 { // the first report was lost
		report, ended := look()
		require.Equal(t, []any{1, batch.AttemptRunning, log.lines},
			[]any{report.running, report.Attempts[0].Phase, report.Logs["u"]})
		require.Zero(t, report.Attempts[0].FinishedAt)
		require.Empty(t, ended)
	}
	report, _ := look()
	log.lines = append(log.lines, batch.LogLine{Text: "three"})
	log.complete = true
	d.logs.drop(report.Logs)
	report, ended := look()
	require.Equal(t, []any{0, batch.AttemptFailed, []batch.LogLine{{Text: "three"}}, []*corev1.Pod{pod}},
		[]any{report.running, report.Attempts[0].Phase, report.Logs["u"], ended})
}
