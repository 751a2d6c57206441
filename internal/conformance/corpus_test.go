package conformance

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// corpusVariable names the environment variable that may hold the path of a file
// of cases, which is then replayed too. To see how many agree, pass -v: go test
// shows nothing else of a test that passes.
//
//	BATCH_CORPUS=/tmp/more.json go test -v -run 'TestCorpus|TestEngine' ./internal/conformance | grep agree
const corpusVariable = "BATCH_CORPUS"

// corpora are the files that are replayed.
func corpora() []string {
	files := []string{"testdata/named.json", "testdata/random.json", "testdata/mixes.json", "testdata/validation.json"}
	if file := os.Getenv(corpusVariable); file != "" {
		files = append(files, file)
	}
	return files
}

// TestCorpus replays the recordings through the public API. It fails if a case
// without an excuse is answered otherwise than by Kubernetes.
func TestCorpus(t *testing.T) { replayAll(t, "API", playInBubble) }

// TestEngine replays the recordings through the bare engine.
func TestEngine(t *testing.T) { replayAll(t, "engine", playEngine) }

func playInBubble(t *testing.T, c *Case, ties tieOrder) (got *Observation, faults []string) {
	synctest.Test(t, func(t *testing.T) { got, faults = play(t, c, ties) })
	return got, faults
}

// A player plays a case to an implementation, and returns what was seen of it and
// what else was wrong. It returns no observation if the case does not concern the
// implementation.
type player func(*testing.T, *Case, tieOrder) (*Observation, []string)

func replayAll(t *testing.T, level string, play player) {
	for _, file := range corpora() {
		replay(t, file, level, play)
	}
}

// A tally counts how cases were answered.
type tally struct {
	mu      sync.Mutex
	asked   int
	agreed  int
	excused []string // disagreed, but are excused
	ties    []string // agree with another order of what falls together
	stale   []string // agreed, though that was not expected
}

// replay plays all cases of a file and prints how many agree.
func replay(t *testing.T, file, level string, play player) {
	cases, err := Load(file)
	require.NoError(t, err)
	file = filepath.Base(file)
	var result tally
	t.Run(file, func(t *testing.T) {
		for _, c := range cases {
			t.Run(c.Name, func(t *testing.T) {
				t.Parallel()
				inOrder := func(ties tieOrder) (*Observation, []string) { return play(t, c, ties) }
				if differences, tie, asked := inSomeOrder(c, inOrder); asked {
					result.add(t, c, differences, tie)
				}
			})
		}
	})
	fmt.Fprintf(os.Stdout, "%s: %s %s\n", file, level, result.summary())
	for _, name := range result.stale {
		t.Logf("%s: %s agrees and needs no excuse", file, name)
	}
}

// add counts a case, and reports the differences that are not excused.
func (r *tally) add(t *testing.T, c *Case, differences []string, tie bool) {
	unexcused := Unexcused(c.Name, differences)
	if !tie {
		for _, difference := range unexcused {
			t.Error(difference)
		}
	}
	excuse, ok := Excuses[c.Name]
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked++
	switch {
	case len(differences) == 0:
		r.agreed++
		if ok && !excuse.May {
			r.stale = append(r.stale, c.Name)
		}
	case len(unexcused) == 0:
		r.excused = append(r.excused, c.Name)
	case tie:
		r.ties = append(r.ties, c.Name)
	}
}

func (r *tally) summary() string {
	text := fmt.Sprintf("agree %d of %d", r.agreed, r.asked)
	for _, list := range []struct {
		why   string
		names []string
	}{{why: "excused", names: r.excused}, {why: "another order of a tie", names: r.ties}} {
		if len(list.names) > 0 {
			slices.Sort(list.names)
			text += fmt.Sprintf(", %s %d: %s", list.why, len(list.names), strings.Join(list.names, " "))
		}
	}
	return text
}
