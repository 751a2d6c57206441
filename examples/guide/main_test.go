package main

import (
	"bytes"
	"context"
	"io"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// show runs the program in a bubble of synctest, in which time is exact and
// passes at once. What is random is replaced: see readable.
func show(t *testing.T, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		require.NoError(t, run(t.Context(), args, &out, io.Discard))
	})
	return readable(out.String())
}

// readable replaces the random parts of names, and names UIDs A, B, C … in
// order of appearance.
func readable(text string) string {
	text = regexp.MustCompile(`hello-[a-z0-9]{5}\b`).ReplaceAllString(text, "hello-xxxxx")
	names := map[string]string{}
	return regexp.MustCompile(`uid [0-9a-f]{8}\b`).ReplaceAllStringFunc(text, func(uid string) string {
		if names[uid] == "" {
			names[uid] = "uid " + strings.Repeat(string(rune('A'+len(names))), 8)
		}
		return names[uid]
	})
}

const lifePicture = `━━ 1. The life of a job ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━

  ┌────────┐     ┌─────┐     ┌───────┐     ┌──────────┐     ┌────────┐
  │ create │────▶│ run │────▶│ track │────▶│ complete │────▶│ retain │
  └────────┘     └─────┘     └───────┘     └──────────┘     └────────┘
    0.00s         0.00s        0.50s          1.50s           1.50s

  create    job hello: completions 3, parallelism 1
  run       attempt hello-xxxxx is the first
  track     ██████████████████████████████ 3 of 3 succeeded
  complete  condition Complete, reason CompletionsReached
  retain    3 attempts and 3 log lines were kept until the job's TTL was over

`

const lanesPicture = `━━ 2. Parallelism 3, completions 6 ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━

          0.00s           0.50s           1.00s           1.50s           2.00s
          ┴───────────────┴───────────────┴───────────────┴───────────────┴
          ┌───────────────────────┐┌─────────────────────┐
  slot 1  │           0           ││          4          │
          └───────────────────────┘└─────────────────────┘
          ┌──────────────┐┌──────────────────────────┐
  slot 2  │      1       ││            3             │
          └──────────────┘└──────────────────────────┘
          ┌─────────────────────────────────┐┌─────────────────┐
  slot 3  │                2                ││        5        │
          └─────────────────────────────────┘└─────────────────┘

  Complete: 6/6 succeeded, 0 failed; 1.70s instead of 4.60s one by one

`

// Index 2 has to wait 0.30s after its failure, and so has every other index
// (R185). But the success of index 1 ends the wait, and the lowest index that
// is missing comes first (R184, R164).
const flakyPicture = `━━ 2. Parallelism 3, completions 6 ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━

          0.00s           0.50s           1.00s           1.50s           2.00s
          ┴───────────────┴───────────────┴───────────────┴───────────────┴
          ┌───────────────────────┐┌─────────────────────┐
  slot 1  │           0           ││          4          │
          └───────────────────────┘└─────────────────────┘
          ┌──────────────┐┌─────────────────────────────────┐
  slot 2  │      1       ││            2 retry 1            │
          └──────────────┘└─────────────────────────────────┘
          ┌──────────┐    ┌──────────────────────────┐┌──────────────────┐
  slot 3  │   2 ✗    │    │            3             ││        5         │
          └──────────┘    └──────────────────────────┘└──────────────────┘

  Complete: 6/6 succeeded, 1 failed; 2.00s instead of 5.00s one by one

`

const restartsPicture = `━━ 3. A job that always fails, back-off limit 2 ━━━━━━━━━━━━━━━━━━━━━━━━━━━━

  restart policy Never                   restart policy OnFailure
  a new attempt takes its place          the attempt is restarted in place

  ┌─────────────────────────────────┐    ┌─────────────────────────────────┐
  │ attempt 1  0.00s  ✗ exit code 1 │    │ attempt 1  0.00s  ✗ exit code 1 │
  │ uid AAAAAAAA                    │    │ uid BBBBBBBB                    │
  └────────────────┬────────────────┘    ├╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌┤
                   │ after 0.40s         │ at once                         │
  ┌────────────────┴────────────────┐    ├╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌┤
  │ retry 1    0.70s  ✗ exit code 1 │    │ restart 1  0.30s  ✗ exit code 1 │
  │ uid CCCCCCCC                    │    │ uid BBBBBBBB                    │
  └────────────────┬────────────────┘    ├╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌┤
                   │ after 0.80s         │ after 0.40s                     │
  ┌────────────────┴────────────────┐    ├╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌┤
  │ retry 2    1.80s  ✗ exit code 1 │    │ restart 2  1.00s  ■ stopped     │
  │ uid DDDDDDDD                    │    │ uid BBBBBBBB                    │
  └─────────────────────────────────┘    └─────────────────────────────────┘
                   ▼                                      ▼
     Failed: BackoffLimitExceeded           Failed: BackoffLimitExceeded
  3 failed, more than the limit of 2       2 restarts reach the limit of 2

`

func TestLife(t *testing.T)     { require.Equal(t, lifePicture, show(t, "life")) }
func TestLanes(t *testing.T)    { require.Equal(t, lanesPicture, show(t, "lanes")) }
func TestFlaky(t *testing.T)    { require.Equal(t, flakyPicture, show(t, "-flaky", "lanes")) }
func TestRestarts(t *testing.T) { require.Equal(t, restartsPicture, show(t, "restarts")) }

func TestAllPictures(t *testing.T) {
	require.Equal(t, lifePicture+lanesPicture+restartsPicture, show(t))
}

// controls are what moves the cursor and clears the terminal.
var controls = regexp.MustCompile("\x1b\\[[0-9]*[A-Z]")

// TestTerminal lets the pictures move: the last frame is the picture that is
// printed elsewhere, and no row is wider than a terminal.
func TestTerminal(t *testing.T) {
	var out bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		g := &guide{screen: &screen{w: &out, live: true}, speed: 1}
		require.NoError(t, g.showAll(t.Context(), pictures))
	})
	text := readable(strings.ReplaceAll(out.String(), "\x1b[K", ""))
	for row := range strings.Lines(controls.ReplaceAllString(text, "")) {
		require.LessOrEqual(t, textWidth(strings.TrimSuffix(row, "\n")), 80, row)
	}
	for _, picture := range []string{lifePicture, lanesPicture, restartsPicture} {
		require.Contains(t, text, picture)
	}
	require.Greater(t, strings.Count(text, "━━ 2. "), 30, "frames")
}

func TestHalfSpeed(t *testing.T) {
	require.Contains(t, show(t, "-speed", "0.5", "lanes"), "; 3.40s instead of 9.20s one by one")
}

func TestAnInterruptEndsIt(t *testing.T) {
	for _, picture := range pictures {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 350*time.Millisecond)
			defer cancel()
			begin := time.Now()
			require.ErrorIs(t, run(ctx, []string{picture.name}, io.Discard, io.Discard), context.DeadlineExceeded)
			require.Equal(t, 350*time.Millisecond, time.Since(begin), "attempts stop at once")
		})
	}
}

func TestBadArguments(t *testing.T) {
	for _, speed := range []string{"0", "-1", "11", "NaN"} {
		require.EqualError(t, run(t.Context(), []string{"-speed", speed}, io.Discard, io.Discard),
			"-speed "+speed+": must be above 0 and at most 10")
	}
	require.EqualError(t, run(t.Context(), []string{"cat"}, io.Discard, io.Discard),
		`no picture "cat": there are life, lanes and restarts`)
}
