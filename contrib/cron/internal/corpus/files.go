package corpus

import (
	"encoding/json"
	"fmt"
	"os"
)

// Files returns the files of cases to replay: that which BATCH_CORPUS names, or else
// own. A file of schedules is for package schedule: then there are none.
func Files(own ...string) ([]string, error) {
	file := os.Getenv("BATCH_CORPUS")
	if file == "" {
		return own, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var cases []struct{ Scenario json.RawMessage }
	if err := json.Unmarshal(text, &cases); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if len(cases) > 0 && cases[0].Scenario == nil {
		return nil, nil
	}
	return []string{file}, nil
}
