package world_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	_ "time/tzdata" // zones are those of the recordings

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch/contrib/cron/internal/corpus"
	"github.com/runtocompletion/batch/contrib/cron/internal/world"
)

// TestCorpus replays the recordings to the bare engine. A case that is answered
// otherwise is excused if it is answered as recorded once defects of the real
// controller are put back into the world around the engine: those that the library
// mends by decision, and nothing else. Cases that are refused are not for the engine.
//
//	BATCH_CORPUS=/tmp/more.json go test -v -run TestCorpus ./internal/world
func TestCorpus(t *testing.T) {
	files, err := corpus.Files("../../testdata/named.json", "../../testdata/random.json")
	require.NoError(t, err)
	for _, file := range files {
		cases, err := corpus.Load(file)
		require.NoError(t, err)
		cases = slices.DeleteFunc(cases, func(c *corpus.Case) bool { return c.Scenario.ValidateOnly || !c.Outcome.Accepted })
		if len(cases) == 0 {
			continue
		}
		var tally corpus.Tally
		for _, c := range cases {
			t.Run(c.Name, func(t *testing.T) { replay(t, c, &tally) })
		}
		fmt.Printf("%s: engine %v\n", filepath.Base(file), &tally)
	}
}

func replay(t *testing.T, c *corpus.Case, tally *corpus.Tally) {
	differences := corpus.Compare(c, world.Replay(c, 0))
	if len(differences) == 0 {
		tally.Agreed()
		return
	}
	if decisions, ok := world.Excuse(c); ok {
		tally.Excused(decisions.String())
		return
	}
	tally.Failed()
	t.Error(strings.Join(differences, "\n"))
}
