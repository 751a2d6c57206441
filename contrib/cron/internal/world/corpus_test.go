package world_test

import (
	"fmt"
	"os"
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
// controller are put back into the world around the engine.
//
//	BATCH_CORPUS=/tmp/more.json go test -v -run TestCorpus ./internal/world
func TestCorpus(t *testing.T) {
	files := []string{"../../testdata/named.json", "../../testdata/random.json"}
	if file := os.Getenv("BATCH_CORPUS"); file != "" {
		files = []string{file}
	}
	for _, file := range files {
		cases, err := corpus.Load(file)
		require.NoError(t, err)
		cases = slices.DeleteFunc(cases, func(c *corpus.Case) bool { return c.Scenario.ValidateOnly || !c.Outcome.Accepted })
		agreed := 0
		var excused []string
		for _, c := range cases {
			t.Run(c.Name, func(t *testing.T) {
				differences := corpus.Compare(c, world.Replay(c, world.Defects{}))
				if len(differences) == 0 {
					agreed++
					return
				}
				if why, ok := world.Excuse(c); ok {
					excused = append(excused, why.String())
					return
				}
				t.Errorf("%s\nwith all defects:\n%s", strings.Join(differences, "\n"), strings.Join(corpus.Compare(c, world.Defectively(c, world.Defects{Search: true, Deafness: true, Silence: true, Patience: true})), "\n"))
			})
		}
		fmt.Printf("%s: engine agree %d of %d, excused %d: %s\n", filepath.Base(file), agreed, len(cases), len(excused),
			excusesOf(excused))
	}
}

// excusesOf counts them.
func excusesOf(excused []string) string {
	slices.Sort(excused)
	var counts []string
	for _, why := range slices.Compact(slices.Clone(excused)) {
		n := 0
		for _, other := range excused {
			if other == why {
				n++
			}
		}
		counts = append(counts, fmt.Sprintf("%s %d", why, n))
	}
	return strings.Join(counts, ", ")
}
