package clock

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWallFollowsSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New()
		start := time.Now()
		before := c.Now()
		require.Equal(t, start, c.Wall(before))
		require.False(t, c.Look())

		time.Sleep(time.Hour)
		c.StepWall(8 * time.Hour)
		require.True(t, c.Look())
		require.False(t, c.Look())
		after := c.Now()
		require.Equal(t, int64(time.Hour), after-before, "the clock does not step")
		require.Equal(t, start, c.Wall(before), "what is past keeps its date")
		require.Equal(t, start.Add(9*time.Hour), c.Wall(after))

		c.StepWall(-10 * time.Hour)
		time.Sleep(time.Minute)
		require.True(t, c.Look())
		require.Equal(t, start.Add(9*time.Hour), c.Wall(after))
		require.Equal(t, start.Add(-time.Hour+time.Minute), c.Wall(c.Now()))
	})
}

func TestSmallDifferencesAreNoSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New()
		c.StepWall(time.Millisecond)
		require.False(t, c.Look())
		require.Equal(t, time.Now(), c.Wall(c.Now()))
	})
}

func TestStepsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New()
		for range 10 * mostSteps {
			time.Sleep(time.Second)
			c.StepWall(time.Hour)
			require.True(t, c.Look())
		}
		require.Len(t, c.State().Steps, mostSteps)
	})
}

func TestContinue(t *testing.T) {
	for name, test := range map[string]struct {
		slept, down, set time.Duration // set: of the wall clock, while no process runs
		want             time.Duration // that the clock has gone on meanwhile
	}{
		"a restart":                       {down: time.Minute, want: time.Minute},
		"the machine had slept":           {slept: 8 * time.Hour, down: time.Minute, want: time.Minute},
		"the wall clock was set back":     {down: time.Minute, set: -time.Hour, want: 0},
		"the wall clock was set ahead":    {down: time.Minute, set: time.Hour, want: time.Hour + time.Minute},
		"slept, and set back by the same": {slept: time.Hour, down: time.Minute, set: -time.Hour, want: 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				first := New()
				created := first.Now()
				date := first.Wall(created)
				time.Sleep(time.Hour)
				first.StepWall(test.slept)
				state := first.State()
				time.Sleep(test.down)
				second := New()
				// The second process sees the wall clock as it is: the difference goes into what was saved.
				state.Wall -= int64(test.slept)
				if test.set != 0 {
					state.Wall -= int64(test.set)
				}
				second.Continue(state, 0)
				require.Equal(t, test.want, time.Duration(second.Now()-state.At))
				require.Equal(t, date, second.Wall(created), "what is past keeps its date")
				require.Equal(t, time.Now(), second.Wall(second.Now()))
			})
		})
	}
}

func TestContinueNeverBeforeTheFloor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New()
		floor := c.Now() + int64(time.Hour)
		c.Continue(State{}, floor)
		require.Equal(t, floor, c.Now())
		require.Equal(t, time.Now(), c.Wall(c.Now()))
	})
}
