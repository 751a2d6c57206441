//go:build unix

package crash

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/cron"
)

// TestJudge shows that the judge can tell.
func TestJudge(t *testing.T) {
	executor := func(pid int, fence int64, index int) line {
		return line{Kind: began, PID: pid, Fence: fence, Job: "job", Index: index}
	}
	status := func(done string, count int, over bool) line {
		return line{Kind: told, Job: "job", Done: done, Count: count, Over: over}
	}
	scheduledJob := func(fence, at int64, uid string) line {
		return line{Kind: started, PID: int(fence), Fence: fence, Job: "cron", Time: at, UID: uid}
	}
	for name, c := range map[string]struct {
		ledger []line
		want   string
	}{
		"it is as it should be": {ledger: []line{{Kind: up}, executor(1, 1, 0), status("0", 1, false), executor(2, 2, 1),
			scheduledJob(2, 60, "u"), scheduledJob(2, 60, "u"), {Kind: scheduled, Job: "cron", Time: 60}, {Kind: left}}},
		"done again": {ledger: []line{status("0", 1, false), executor(1, 1, 0)},
			want: "index 0 of job runs again under fence 1, though it was told to be done"},
		"two with one claim": {ledger: []line{executor(1, 1, 0), executor(2, 1, 1)},
			want: "fence 1 is that of processes 1 and 2"},
		"one that was overtaken": {ledger: []line{executor(2, 2, 0), executor(1, 1, 1)},
			want: "an executor under fence 1 goes on after one under 2"},
		"a count without indexes": {ledger: []line{status("", 1, false)},
			want: "job has 1 completions, but these indexes: "},
		"undone": {ledger: []line{status("0", 1, false), status("1", 1, false)},
			want: "index 0 of job was told to be done, and is not"},
		"another end": {ledger: []line{status("0-1", 2, true), status("0-2", 3, true)},
			want: "job has ended with 2 and with 3 completions"},
		"a time twice": {ledger: []line{scheduledJob(1, 60, "u"), scheduledJob(2, 60, "v")},
			want: "cron has two jobs for 60: u and v"},
		"a time that is lost": {ledger: []line{{Kind: scheduled, Job: "cron", Time: 60}, scheduledJob(1, 61, "u")},
			want: "cron was told to have started 60, which has not run"},
		"something that a process says": {ledger: []line{{Kind: wrong, PID: 1, Text: "no"}}, want: "process 1: no"},
	} {
		t.Run(name, func(t *testing.T) {
			j := newJudge()
			j.read(c.ledger)
			j.end(plan{cronJobs: []cron.CronJob{{Name: "cron", ConcurrencyPolicy: cron.Forbid}}})
			require.Equal(t, c.want, strings.Join(j.findings, "; "))
		})
	}
}

// Jobs must have ended, with all their completions.
func TestJudge_End(t *testing.T) {
	j := newJudge()
	j.read([]line{
		{Kind: told, Job: "job", Done: "0", Count: 1, Over: true},
		{Kind: told, Job: "other", Done: "0-1", Count: 2},
	})
	j.end(plan{jobs: []batch.Job{{Name: "job", Completions: new(2)}, {Name: "other", Completions: new(2)}}})
	require.Equal(t, []string{"job has 1 completions of 2, ended: true", "other has 2 completions of 2, ended: false"},
		j.findings)
}
