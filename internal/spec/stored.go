package spec

import (
	"encoding/json"

	"github.com/runtocompletion/batch/internal/fields"
)

// A Stored is what a store has of a job besides its state.
type Stored struct {
	Spec       any             // what differs from the defaults
	Declared   json.RawMessage `json:",omitempty"` // what differs from Spec in the latest declaration
	Generation int64           `json:",omitzero"`
	Code
}

// Code says which functions a job has. They are not stored.
type Code struct {
	HoldsPending            bool           `json:",omitzero"`
	Backoff, RestartBackoff *StoredBackoff `json:",omitempty"`
	ErrorRules              []int          `json:",omitempty"` // of the failure policy
}

// Encode returns what is stored of a job whose fields are those of J.
func Encode[J any](spec, declared, defaults *J, generation int64, code Code) []byte {
	data, _ := json.Marshal(Stored{json.RawMessage(fields.Difference(spec, defaults)),
		fields.Difference(declared, spec), generation, code}) // as in fields.Difference
	return data
}

// Decode undoes Encode: spec has the defaults. What was declared comes by Declared.
func Decode[J any](data []byte, spec *J) (Stored, error) {
	s := Stored{Spec: spec}
	err := json.Unmarshal(data, &s)
	return s, err
}

// Declared returns the latest declaration of a job; nil if it is the spec.
func Declared[J any](s *Stored, spec *J) (*J, error) {
	if s.Declared == nil {
		return nil, nil
	}
	declared := new(fields.Clone(spec))
	return declared, fields.Patch(declared, s.Declared)
}
