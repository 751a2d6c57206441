package cron

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	_ "time/tzdata" // zones are those of the recordings

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch/contrib/cron/internal/corpus"
	"github.com/runtocompletion/batch/contrib/cron/internal/world"
	"github.com/runtocompletion/batch/internal/leaktest"
)

func TestMain(m *testing.M) {
	time.Local = time.UTC // as in the recordings
	leaktest.Main(m)
}

// TestCorpus replays the recordings through the public API, in virtual time. A case
// that is answered otherwise is excused if a rule of judge says so.
//
//	BATCH_CORPUS=/tmp/more.json go test -v -run TestCorpus .
func TestCorpus(t *testing.T) {
	files, err := corpus.Files("testdata/validation.json", "testdata/named.json", "testdata/random.json")
	require.NoError(t, err)
	for _, file := range files {
		cases, err := corpus.Load(file)
		require.NoError(t, err)
		var tally corpus.Tally
		t.Run(filepath.Base(file), func(t *testing.T) {
			for _, c := range cases {
				t.Run(c.Name, func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) { replay(t, c, &tally) })
				})
			}
		})
		fmt.Printf("%s: api %v\n", filepath.Base(file), &tally)
	}
}

func replay(t *testing.T, c *corpus.Case, tally *corpus.Tally) {
	switch differences, excuse := judge(c, play(t, c)); {
	case len(differences) == 0:
		tally.Agreed()
	case excuse != "":
		tally.Excused(excuse)
	default:
		tally.Failed()
		t.Error(strings.Join(differences, "\n"))
	}
}

// judge compares what was seen with the recording. A difference is excused if the
// bare engine differs in the same way, because of a defect of the real controller
// that it does not have, or if a CronJob has no field for what the case is about.
func judge(c *corpus.Case, got *corpus.Outcome) (differences []string, excuse string) {
	differences = corpus.Compare(c, got)
	switch {
	case len(differences) == 0:
		return nil, ""
	case c.Scenario.ValidateOnly || !c.Outcome.Accepted:
		return differences, lackedField(c)
	}
	defects, ok := world.Excuse(c)
	if !ok {
		return differences, ""
	}
	mended := *c
	mended.Outcome, mended.Ideal = *world.Replay(c, 0), nil
	if more := corpus.Compare(&mended, got); len(more) > 0 {
		return append(append(differences, "and from the bare engine:"), more...), ""
	}
	return differences, defects.String()
}

// lackedField names what a manifest has and a CronJob has not.
func lackedField(c *corpus.Case) string {
	var spec struct {
		TimeZone    *string `json:"timeZone"`
		JobTemplate struct {
			Spec struct {
				Selector       any   `json:"selector"`
				ManualSelector *bool `json:"manualSelector"`
				Template       *struct {
					Spec struct{ Containers []any }
				}
			}
		} `json:"jobTemplate"`
	}
	if err := json.Unmarshal(c.Scenario.Spec, &spec); err != nil {
		return ""
	}
	template := spec.JobTemplate.Spec
	switch {
	case spec.TimeZone != nil && *spec.TimeZone == "":
		return "an empty zone is an unset one"
	case template.Selector != nil || template.ManualSelector != nil:
		return "no selectors"
	case template.Template != nil && len(template.Template.Spec.Containers) == 0:
		return "no containers"
	}
	return ""
}
