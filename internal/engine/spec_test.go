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
		"no rules": {"", Attempt{HasExit: true, ExitCode: 1, errorRule: None}, None},
		"R196 the first that matches": {
			"rule=Count:1 rule=Ignore:2 rule=Count:2", Attempt{HasExit: true, ExitCode: 2, errorRule: None}, 1,
		},
		"R196 none matches": {
			"rule=Count:1", Attempt{HasExit: true, ExitCode: 2, errorRule: None}, None,
		},
		"R197 not in": {
			"rule=Ignore:!1,2", Attempt{HasExit: true, ExitCode: 3, errorRule: None}, 0,
		},
		"R197 not in, but in": {
			"rule=Ignore:!1,2", Attempt{HasExit: true, ExitCode: 2, errorRule: None}, None,
		},
		"R197 exit code 0 never matches": {"rule=Ignore:!1", Attempt{HasExit: true, errorRule: None}, None},
		"no exit code does not match":    {"rule=Ignore:!1", Attempt{ExitCode: 7, errorRule: None}, None},
		"R198 condition": {
			"rule=Ignore:DisruptionTarget", Attempt{Conditions: disrupted, errorRule: None}, 0,
		},
		"R198 another status": {
			"rule=Ignore:DisruptionTarget",
			Attempt{Conditions: []Condition{{Type: DisruptionTarget, Status: False}}, errorRule: None}, None,
		},
		"R198 another condition": {
			"rule=Ignore:Other", Attempt{Conditions: disrupted, errorRule: None}, None,
		},
		"R198 any of two patterns": {
			"rule=Ignore:Other,DisruptionTarget", Attempt{Conditions: disrupted, errorRule: None}, 0,
		},
		"an error": {
			"rule=Count:1 rule=Ignore:error", Attempt{HasExit: true, ExitCode: 2, errorRule: 1}, 1,
		},
		"an exit code before an error": {
			"rule=Count:2 rule=Ignore:error", Attempt{HasExit: true, ExitCode: 2, errorRule: 1}, 0,
		},
		"an attempt that runs, by its condition": {
			"rule=Count:2 rule=Ignore:DisruptionTarget", Attempt{State: StateRunning, Conditions: disrupted, errorRule: None}, 1,
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
		"R221 not before the first success":    {"success=all/0", "", None},
		"R221 the first that is met":           {"success=7 success=all/2 success=0", "0,1", 1},
		"R222 all of a set":                    {"success=1-3", "1-3", 0},
		"R222 not all of a set":                {"success=1-3", "1,3", None},
		"R222 a count":                         {"success=all/3", "0,5,9", 0},
		"R222 too few":                         {"success=all/3", "0,5", None},
		"R222 a count within a set":            {"success=1-5/2", "0,2,5", 0},
		"R222 too few within a set":            {"success=1-5/2", "0,2,6", None},
		"R222 all suffice for any count":       {"success=1,2/5", "1,2", 0},
		"R223 an empty set":                    {"success=", "0", None},
		"R223 an empty set with a count of 0":  {"success=/0", "0", None},
		"R223 a count of 0":                    {"success=all/0", "3", 0},
		"R223 indexes out of range":            {"success=8-12", "8,9", 0},
		"R223 a set that begins out of range":  {"success=10-12", "8,9", None},
		"R223 several parts, one out of range": {"success=1,9-30", "1,9", 0},
	} {
		t.Run(name, func(t *testing.T) {
			j := New(Identity{}, parseSpec(t, "indexed C=10 "+c.rules))
			j.Completed = indexset.ParseLenient(c.completed, -1)
			require.Equal(t, c.want, j.successRule())
		})
	}
}
