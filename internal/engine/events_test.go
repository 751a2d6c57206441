package engine

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// eventTexts are a job's events, with the attempts' numbers for names.
func eventTexts(w *world) []string {
	var texts []string
	for _, e := range w.job.Events() {
		message := e.Message
		for seq := range w.job.created {
			message = strings.ReplaceAll(message, w.job.ID.Name(seq, None), "#"+string(rune('0'+seq)))
		}
		kind := "Normal"
		if e.Warning {
			kind = "Warning"
		}
		texts = append(texts, w.since(e.At).String()+" "+kind+" "+e.Reason+": "+message)
	}
	return texts
}

func TestEventLog(t *testing.T) {
	for name, c := range map[string]struct {
		play
		want []string
	}{
		"R297, R303 a job that completes": {
			play: play{"", "0s: create\n2s: ok 0"},
			want: []string{"0s Normal SuccessfulCreate: Created pod: #0", "2s Normal Completed: Job completed"},
		},
		"R299, R304 a job that fails": {
			play: play{"P=2 C=2 L=0", "0s: create\n1s: fail 0\n2s: ok 1"},
			want: []string{"0s Normal SuccessfulCreate: Created pod: #0", "0s Normal SuccessfulCreate: Created pod: #1",
				"1.001s Normal SuccessfulDelete: Deleted pod: #1",
				"2s Warning BackoffLimitExceeded: Job has reached the specified backoff limit"},
		},
		"R301, R302 a job that is suspended and resumed": {
			play: play{"suspended", "0s: create\n1s: update suspended=no\n2s: ok 0"},
			want: []string{"0s Normal Suspended: Job suspended", "1s Normal SuccessfulCreate: Created pod: #0",
				"1s Normal Resumed: Job resumed", "2s Normal Completed: Job completed"},
		},
		"R474 a job that waits for others": {
			play: play{"", "0s: create awaiting\n5s: met\n6s: ok 0"},
			want: []string{"0s Normal Waiting: Waits for job first", "5s Normal SuccessfulCreate: Created pod: #0",
				"6s Normal Completed: Job completed"},
		},
		"R475 a job whose dependency fails": {
			play: play{"", "0s: create awaiting\n5s: doomed"},
			want: []string{"0s Normal Waiting: Waits for job first",
				"5s Warning DependencyFailed: Job first, after which this one was to start, has failed"},
		},
		"what a user deletes is no event": {
			play: play{"", "0s: create\n1s: delete 0"},
			want: []string{"0s Normal SuccessfulCreate: Created pod: #0"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, eventTexts(c.play.run(t)))
		})
	}
}

// R305 cannot be had by the engine's own doing: it never runs more attempts
// than are missing.
func TestTooManySucceeded(t *testing.T) {
	w := play{"P=2 C=2", "0s: create\n1s: ok 0"}.run(t)
	w.job.Succeeded += 2
	w.job.Step(Event{Kind: Tick, At: w.now})
	w.job.Step(Event{Kind: Ended, Attempt: w.attempt(1), At: w.now, Result: Result{ErrorRule: None}})
	texts := eventTexts(w)
	require.Equal(t, []string{
		"1s Warning TooManySucceededPods: Too many succeeded pods running after completion count reached",
		"1s Normal Completed: Job completed",
	}, texts[len(texts)-2:])
}

// Thousands of attempts do not push out what was said about the job, and
// neither kind is without bounds.
func TestEventsAreBounded(t *testing.T) {
	w := newWorld(parseSpec(t, "P=1 C=1000 suspended"), false)
	w.step(Event{Kind: Created})
	spec := *w.job.Spec
	spec.Suspend = false
	w.now++
	w.step(Event{Kind: Updated, Spec: new(spec)})
	for seq := range int64(999) {
		w.now++
		w.end(seq, Result{ErrorRule: None})
	}
	events := w.job.Events()
	require.Len(t, events, toldAttemptEvents+2)
	require.Equal(t, "Suspended", events[0].Reason)
	require.Equal(t, "Resumed", events[1].Reason)
	require.Equal(t, "Created pod: "+w.job.ID.Name(1000-toldAttemptEvents, None), events[2].Message)
	require.Equal(t, "Created pod: "+w.job.ID.Name(999, None), events[len(events)-1].Message)

	for i := range 2 * keptJobEvents {
		spec.Suspend = i%2 == 0
		w.now++
		w.step(Event{Kind: Updated, Spec: new(spec)})
	}
	require.NoError(t, w.err)
	require.Len(t, w.job.Events(), toldAttemptEvents+keptJobEvents)
}
