package crash

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// A summary counts what a ledger has.
type summary struct{ runs, told, ups int }

// judge reads a ledger and returns what is wrong with it. Told times whose minute had
// not ended for unfinished jobs must have run by now: the last child lives on for a
// while.
func judge(path string) (sum summary, faults []string, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return sum, nil, err
	}
	jobs := make(map[string][]string) // UIDs by CronJob and time
	ran := make(map[string]bool)      // by the job's name
	var told [][2]string
	for line := range strings.Lines(string(text)) {
		switch words := strings.Fields(line); words[0] {
		case "up":
			sum.ups++
		case "run":
			sum.runs++
			ran[words[3]] = true
			if key := words[1] + " " + words[2]; !slices.Contains(jobs[key], words[4]) {
				jobs[key] = append(jobs[key], words[4])
			}
		case "told":
			sum.told++
			told = append(told, [2]string{words[1], words[2]})
		default:
			faults = append(faults, strings.TrimSpace(line))
		}
	}
	for key, uids := range jobs {
		if len(uids) > 1 {
			faults = append(faults, fmt.Sprintf("%s was started by jobs %v", key, uids))
		}
	}
	for _, t := range told {
		var seconds int64
		if _, err := fmt.Sscan(t[1], &seconds); err != nil {
			return sum, nil, err
		}
		if name := fmt.Sprintf("%s-%d", t[0], seconds/60); !ran[name] {
			faults = append(faults, fmt.Sprintf("%s was told to have started %d, and no job %s has run", t[0], seconds, name))
		}
	}
	slices.Sort(faults)
	return sum, slices.Compact(faults), nil
}
