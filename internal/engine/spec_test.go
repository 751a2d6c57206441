package engine

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch/internal/indexset"
)

func TestMatch(t *testing.T) {
	disrupted := []Condition{{Type: DisruptionTarget, Status: True}}
	for name, c := range map[string]struct {
		rules   string
		attempt Attempt
		want    int
	}{
		"no rules": {attempt: Attempt{HasExit: true, ExitCode: 1, errorRule: None}, want: None},
		"R196 the first that matches": {
			rules: "rule=Count:1 rule=Ignore:2 rule=Count:2", attempt: Attempt{HasExit: true, ExitCode: 2, errorRule: None},
			want: 1,
		},
		"R196 none matches": {
			rules: "rule=Count:1", attempt: Attempt{HasExit: true, ExitCode: 2, errorRule: None}, want: None,
		},
		"R197 not in": {
			rules: "rule=Ignore:!1,2", attempt: Attempt{HasExit: true, ExitCode: 3, errorRule: None}, want: 0,
		},
		"R197 not in, but in": {
			rules: "rule=Ignore:!1,2", attempt: Attempt{HasExit: true, ExitCode: 2, errorRule: None}, want: None,
		},
		"R197 exit code 0 never matches": {
			rules: "rule=Ignore:!1", attempt: Attempt{HasExit: true, errorRule: None}, want: None,
		},
		"no exit code does not match": {
			rules: "rule=Ignore:!1", attempt: Attempt{ExitCode: 7, errorRule: None}, want: None,
		},
		"R198 condition": {
			rules: "rule=Ignore:DisruptionTarget", attempt: Attempt{Conditions: disrupted, errorRule: None}, want: 0,
		},
		"R198 another status": {
			rules:   "rule=Ignore:DisruptionTarget",
			attempt: Attempt{Conditions: []Condition{{Type: DisruptionTarget, Status: False}}, errorRule: None}, want: None,
		},
		"R198 another condition": {
			rules: "rule=Ignore:Other", attempt: Attempt{Conditions: disrupted, errorRule: None}, want: None,
		},
		"R198 any of two patterns": {
			rules: "rule=Ignore:Other,DisruptionTarget", attempt: Attempt{Conditions: disrupted, errorRule: None}, want: 0,
		},
		"an error": {
			rules: "rule=Count:1 rule=Ignore:error", attempt: Attempt{HasExit: true, ExitCode: 2, errorRule: 1}, want: 1,
		},
		"an exit code before an error": {
			rules: "rule=Count:2 rule=Ignore:error", attempt: Attempt{HasExit: true, ExitCode: 2, errorRule: 1}, want: 0,
		},
		"an attempt that runs, by its condition": {
			rules:   "rule=Count:2 rule=Ignore:DisruptionTarget",
			attempt: Attempt{State: StateRunning, Conditions: disrupted, errorRule: None}, want: 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			spec := parseSpec(t, c.rules)
			require.Equal(t, c.want, spec.match(&c.attempt))
		})
	}
}

func TestSuccessRules(t *testing.T) {
	for name, c := range map[string]struct {
		rules     string
		completed string
		want      int
	}{
		"R221 not before the first success":    {rules: "success=all/0", want: None},
		"R221 the first that is met":           {rules: "success=7 success=all/2 success=0", completed: "0,1", want: 1},
		"R222 all of a set":                    {rules: "success=1-3", completed: "1-3", want: 0},
		"R222 not all of a set":                {rules: "success=1-3", completed: "1,3", want: None},
		"R222 a count":                         {rules: "success=all/3", completed: "0,5,9", want: 0},
		"R222 too few":                         {rules: "success=all/3", completed: "0,5", want: None},
		"R222 a count within a set":            {rules: "success=1-5/2", completed: "0,2,5", want: 0},
		"R222 too few within a set":            {rules: "success=1-5/2", completed: "0,2,6", want: None},
		"R222 all suffice for any count":       {rules: "success=1,2/5", completed: "1,2", want: 0},
		"R223 an empty set":                    {rules: "success=", completed: "0", want: None},
		"R223 an empty set with a count of 0":  {rules: "success=/0", completed: "0", want: None},
		"R223 a count of 0":                    {rules: "success=all/0", completed: "3", want: 0},
		"R223 indexes out of range":            {rules: "success=8-12", completed: "8,9", want: 0},
		"R223 a set that begins out of range":  {rules: "success=10-12", completed: "8,9", want: None},
		"R223 several parts, one out of range": {rules: "success=1,9-30", completed: "1,9", want: 0},
	} {
		t.Run(name, func(t *testing.T) {
			j := New(Identity{}, new(parseSpec(t, "indexed C=10 "+c.rules)))
			j.Completed = indexset.ParseLenient(c.completed, -1)
			require.Equal(t, c.want, j.successRule())
		})
	}
}
