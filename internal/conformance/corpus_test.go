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
// of cases, which is then replayed in place of those in testdata. To see how many
// agree, pass -v: go test shows nothing else of a test that passes.
//
//	BATCH_CORPUS=/tmp/more.json go test -v -run TestCorpus ./internal/conformance
const corpusVariable = "BATCH_CORPUS"

// TestCorpus replays the recordings through the public API. It fails if a case
// without an excuse is answered otherwise than by Kubernetes.
func TestCorpus(t *testing.T) {
	files := []string{"testdata/named.json", "testdata/random.json", "testdata/validation.json"}
	if file := os.Getenv(corpusVariable); file != "" {
		files = []string{file}
	}
	for _, file := range files {
		replay(t, file)
	}
}

// A tally counts how cases were answered.
type tally struct {
	mu      sync.Mutex
	agreed  int
	excused []string // disagreed, but are excused
	stale   []string // agreed, though that was not expected
}

// replay plays all cases of a file and prints how many agree.
func replay(t *testing.T, file string) {
	cases, err := Load(file)
	require.NoError(t, err)
	file = filepath.Base(file)
	var result tally
	t.Run(file, func(t *testing.T) {
		for _, c := range cases {
			t.Run(c.Name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { result.add(t, c, Compare(c, play(t, c))) })
			})
		}
	})
	fmt.Fprintf(os.Stdout, "%s: %s\n", file, result.summary(len(cases)))
	for _, name := range result.stale {
		t.Logf("%s: %s agrees and needs no excuse", file, name)
	}
}

// add counts a case, and reports the differences that are not excused.
func (r *tally) add(t *testing.T, c *Case, differences []string) {
	unexcused := Unexcused(c.Name, differences)
	for _, difference := range unexcused {
		t.Error(difference)
	}
	excuse, ok := Excuses[c.Name]
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case len(differences) == 0:
		r.agreed++
		if ok && !excuse.May {
			r.stale = append(r.stale, c.Name)
		}
	case len(unexcused) == 0:
		r.excused = append(r.excused, c.Name)
	}
}

func (r *tally) summary(total int) string {
	text := fmt.Sprintf("agree %d of %d", r.agreed, total)
	if len(r.excused) > 0 {
		slices.Sort(r.excused)
		text += fmt.Sprintf(", excused %d: %s", len(r.excused), strings.Join(r.excused, " "))
	}
	return text
}
