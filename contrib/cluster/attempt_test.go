package cluster

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtocompletion/batch"
)

// A description is what an attempt knows of itself.
type description struct {
	Job                 string
	Index, Number       int
	Input               string
	Labels, Annotations map[string]string
	IsNamed, IsToken    bool // whether the names are as they should be
	Reads               bool // whether the context is that of the attempt
	Deadline            time.Duration
}

var (
	attemptName  = regexp.MustCompile(`^same-[01]-\w{5}$`)
	attemptToken = regexp.MustCompile(`^[-\w]{36}/[01]/`)
)

// describe fails once, says something in all ways there are, and describes its attempt.
func describe(ctx context.Context, a batch.Attempt) error {
	if a.Number == 0 {
		return exitError(3)
	}
	fmt.Fprintln(a.Stdout(), "to stdout")
	fmt.Fprintln(a.Stderr(), "to stderr")
	a.Logger().Info("logged", "by", "slog")
	input, err := batch.Input[string](a)
	if err != nil {
		return err
	}
	d := description{Job: a.Job, Index: a.Index, Number: a.Number, Input: input, Labels: a.Labels(),
		Annotations: a.Annotations(), IsNamed: attemptName.MatchString(a.Name()),
		IsToken: attemptToken.MatchString(a.Token()) && strings.Count(a.Token(), "/") == 2}
	if from, ok := batch.AttemptFrom(ctx); ok {
		d.Reads = from.UID() == a.UID()
	}
	if deadline, ok := ctx.Deadline(); ok {
		d.Deadline = time.Until(deadline).Round(time.Hour)
	}
	return a.SetResult(d)
}

// loggedAt is the time that slog writes.
var loggedAt = regexp.MustCompile(`time=\S+ `)

// What an attempt has here it has there: who it is, what it is given, where it writes.
func TestSameAttempt(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	there, here := p.service(p.options()), newController(t, nil)
	defer func() { require.NoError(t, here.Shutdown(context.Background())) }()
	job := batch.Job{Name: "same", Executor: functions.Executor("describe"), CompletionMode: batch.Indexed,
		Completions: new(2), Parallelism: new(2), BackoffLimitPerIndex: new(1), Input: "costs $HOME and $(PATH)",
		AttemptTimeout: new(5 * time.Hour),
		Labels:         map[string]string{"team": "blue"}, Annotations: map[string]string{"note": "x"}}
	logOf := func(c *batch.Controller) (lines []string) {
		attempts, err := c.Attempts(t.Context(), "same")
		require.NoError(t, err)
		for _, a := range attempts {
			if a.Phase == batch.AttemptSucceeded && a.Index == 1 {
				lines = linesOf(t, c, "same", a.Name)
			}
		}
		for i := range lines {
			lines[i] = loggedAt.ReplaceAllString(lines[i], "")
		}
		return lines
	}
	_, err := here.Run(t.Context(), job)
	require.NoError(t, err)
	job.ManagedBy = new(Manager)
	_, err = there.Run(t.Context(), job)
	require.NoError(t, err)
	want := resultsOf[description](t, here, "same")
	require.Equal(t, []any{1, true, true, true, 5 * time.Hour}, []any{want[1].Number, want[1].IsNamed, want[1].IsToken,
		want[1].Reads, want[1].Deadline})
	require.Equal(t, want, resultsOf[description](t, there, "same"))
	require.ElementsMatch(t, []string{"to stdout", "to stderr", "level=INFO msg=logged by=slog"}, logOf(here))
	require.ElementsMatch(t, logOf(here), logOf(there))
}

// Of two attempts of one index only one can save: what the other one had read is not what
// there is any more. Checkpoints go with their Job.
func TestCheckpointsAreFenced(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	c, gate := p.waiting(t, "fenced", 1)
	job, err := p.admin.BatchV1().Jobs(p.namespace).Get(t.Context(), "fenced", metav1.GetOptions{})
	require.NoError(t, err)
	maps := p.admin.CoreV1().ConfigMaps(p.namespace)
	open := func() *checkpoints {
		book, err := readCheckpoints(t.Context(), maps, "fenced", string(job.UID), 0)
		require.NoError(t, err)
		return book
	}
	first, second := open(), open()
	require.NoError(t, second.save(t.Context(), "", []byte("two")))
	require.ErrorIs(t, first.save(t.Context(), "", []byte("one")), batch.ErrAttemptEnded, "both would create it")
	third, fourth := open(), open()
	require.NoError(t, fourth.save(t.Context(), "", []byte("four")))
	require.NoError(t, fourth.save(t.Context(), "other name", []byte("another one")))
	require.ErrorIs(t, third.save(t.Context(), "", []byte("three")), batch.ErrAttemptEnded, "both would change it")
	require.Equal(t, []string{"four", "another one"}, []string{string(open().load("")), string(open().load("other name"))})

	_, err = readCheckpoints(t.Context(), maps, "fenced", "another Job", 0)
	require.ErrorContains(t, err, "is not one of this Job")
	w, err := maps.Watch(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=fenced-checkpoint-0"})
	require.NoError(t, err)
	defer w.Stop()
	gate.open()
	remove(t, c, "fenced", batch.DeleteForeground)
	for e := range w.ResultChan() {
		if e.Type == "DELETED" {
			return
		}
	}
	require.Fail(t, "the checkpoints are there")
}
