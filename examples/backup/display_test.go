package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

func TestNews(t *testing.T) {
	for name, test := range map[string]struct {
		attempt batch.AttemptStatus
		live    bool
		want    string
	}{
		"a running attempt is no news": {
			attempt: batch.AttemptStatus{Phase: batch.AttemptRunning},
		},
		"a verified shard": {
			attempt: batch.AttemptStatus{Phase: batch.AttemptSucceeded, Index: 1, Output: "3 files"},
			want:    "shard-1-of-2: verified, 3 files",
		},
		"on a terminal the bars tell of success": {
			attempt: batch.AttemptStatus{Phase: batch.AttemptSucceeded, Index: 1, Output: "3 files"},
			live:    true,
		},
		"a shard that was verified before": {
			attempt: batch.AttemptStatus{Phase: batch.AttemptSucceeded},
		},
		"a failure counts attempts from one": {
			attempt: batch.AttemptStatus{Phase: batch.AttemptFailed, Number: 1, Message: "broken"},
			live:    true,
			want:    "shard-0-of-2: attempt 2 failed: broken",
		},
		"what we stop has not failed by itself": {
			attempt: batch.AttemptStatus{Phase: batch.AttemptFailed, DeletedBy: "job-controller", Message: "shut down"},
			want:    "shard-0-of-2: attempt 1 stopped: shut down",
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := &display{live: test.live, shards: twoShards()}
			require.Equal(t, test.want, d.news(test.attempt))
		})
	}
}

func TestTotal(t *testing.T) {
	d := &display{shards: twoShards(), begin: time.Now().Add(-time.Hour)}
	attempts := []batch.AttemptStatus{
		{Index: 0, Phase: batch.AttemptFailed, Progress: batch.Progress{Done: 1000}},
		{Index: 0, Phase: batch.AttemptSucceeded},
		{Index: 1, Phase: batch.AttemptRunning, Progress: batch.Progress{Done: 1000, Total: 4000}},
	}
	status := batch.Status{Progress: batch.Progress{Done: 1, Total: 2}}
	require.Equal(t, "[==========>         ]  50%  1/2 shards  1.5 kB of 3.0 kB  0 B/s", d.total(status, attempts))
}

func TestBar(t *testing.T) {
	require.Equal(t, "[>   ]   0%", bar(0, 0, 4))
	require.Equal(t, "[==> ]  50%", bar(1, 2, 4))
	require.Equal(t, "[====] 100%", bar(3, 2, 4))
}

func TestCut(t *testing.T) {
	require.Equal(t, "größe", cut("größe", 5))
	require.Equal(t, "gr...", cut("größen", 5))
}

func TestBlockIsRedrawnInPlace(t *testing.T) {
	var screen bytes.Buffer
	d := &display{out: &screen}
	d.drawLocked([]string{"one", "two"})
	d.say("news")
	d.drawLocked([]string{"three"})
	d.clearLocked()
	d.clearLocked()
	require.Equal(t, "one\ntwo\n\r\x1b[2A\x1b[Jnews\nthree\n\r\x1b[1A\x1b[J", screen.String())
}

func TestOnlyTerminalsGetControlCodes(t *testing.T) {
	require.False(t, isTerminal(new(bytes.Buffer)))
	require.False(t, isTerminal(new(strings.Builder)))
}

func twoShards() []shard {
	return []shard{{number: 0, of: 2, size: 1000}, {number: 1, of: 2, size: 2000}}
}
