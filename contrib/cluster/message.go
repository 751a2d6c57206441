package cluster

import (
	"encoding/json"
	"fmt"

	"github.com/runtocompletion/batch"
)

// A message is what a pod says at its end, as its termination message.
type message struct {
	V        int             `json:"v"`
	ExitCode int             `json:"exitCode"` // of the attempt; that of the pod may be a reserved one
	Error    string          `json:"error,omitempty"`
	Reason   string          `json:"reason,omitempty"`
	Output   string          `json:"output,omitempty"`
	Result   json.RawMessage `json:"result,omitempty"`
	Stored   string          `json:"stored,omitempty"` // the key of a result in Functions.Results
}

// mostMessage is how long a termination message may be.
const mostMessage = 4096

// encode refuses what is too long: Kubernetes would cut it.
func (m *message) encode() ([]byte, error) {
	data, err := json.Marshal(m)
	if err == nil && len(data) > mostMessage {
		err = fmt.Errorf("%w: the pod's termination message has %d bytes (output %d, result %d, error %d): "+
			"at most %d are allowed", batch.ErrTooLarge, len(data), len(m.Output), len(m.Result), len(m.Error), mostMessage)
	}
	return data, err
}

// decodeMessage reads what a pod said. One that was killed has said nothing.
func decodeMessage(text string) (m message, ok bool) {
	err := json.Unmarshal([]byte(text), &m)
	return m, err == nil && m.V == 1
}
