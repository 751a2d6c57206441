package engine

import "testing"

var stepPlays = map[string]play{
	"R161 a step stops what is out of range and then starts what is missing": {spec: "indexed P=3 C=3", script: `
			0s: create
			0s: unready 0
			1s: update P=2     => stop=0(scaled-down) start= running=1,2
			2s: update P=2 C=2 => stop=2(scaled-down) start=3 index3=0 running=0,1`},
}

func TestSteps(t *testing.T) { runPlays(t, stepPlays) }
