package otel

import (
	"slices"
	"sync"

	"go.opentelemetry.io/otel/trace"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/internal/around"
)

// The ways in which an execution repeats an earlier one: values of the attribute
// batch.link of links, and of batch.retry.kind.
const (
	kindAttempt = "retry"   // a new attempt
	kindRestart = "restart" // a restart in place
)

func kindOf(a batch.Attempt) string {
	if a.Restarts > 0 {
		return kindRestart
	}
	return kindAttempt
}

// maxUnrepeated is how many executions of a job are remembered that wait to be
// repeated.
const maxUnrepeated = 10_000

// attempts are the spans of a job's attempts: those that run, and those that will
// be linked to from the execution that repeats them. The zero value is ready to use.
type attempts struct {
	restarts bool // whether failed attempts are restarted in place; written before anything else

	mu         sync.Mutex // guards the fields below
	spans      map[string]trace.SpanContext
	unrepeated map[int][]unrepeated // by index
	count      int                  // of those
}

// An unrepeated execution did not succeed, and nothing has taken its place yet.
type unrepeated struct {
	attempt   string
	inPlace   bool // whether only a restart of the same attempt repeats it
	inContext trace.SpanContext
}

// begin reports whether an execution repeats an earlier one, and returns its span.
func (s *attempts) begin(a batch.Attempt) (before trace.SpanContext, ok bool) {
	name := a.Name()
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.unrepeated[a.Index]
	i := slices.IndexFunc(list, func(u unrepeated) bool {
		if a.Restarts > 0 {
			return u.attempt == name
		}
		return !u.inPlace
	})
	if i < 0 {
		return before, false
	}
	found := list[i]
	s.count--
	s.unrepeated[a.Index] = slices.Delete(list, i, i+1)
	if len(list) == 1 {
		delete(s.unrepeated, a.Index)
	}
	delete(s.spans, found.attempt)
	return found.inContext, true
}

func (s *attempts) started(a batch.Attempt, span trace.SpanContext) {
	name := a.Name()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.spans == nil {
		s.spans = make(map[string]trace.SpanContext)
		s.unrepeated = make(map[int][]unrepeated)
	}
	s.spans[name] = span
}

func (s *attempts) ended(a batch.Attempt, outcome string, span trace.SpanContext) {
	name := a.Name()
	s.mu.Lock()
	defer s.mu.Unlock()
	if outcome == around.Succeeded || s.count >= maxUnrepeated {
		delete(s.spans, name)
		return
	}
	inPlace := s.restarts && (outcome == around.Failed || outcome == around.Panicked)
	s.unrepeated[a.Index] = append(s.unrepeated[a.Index], unrepeated{name, inPlace, span})
	s.count++
}

// span is that of an attempt, by its name.
func (s *attempts) span(attempt string) trace.SpanContext {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.spans[attempt]
}
