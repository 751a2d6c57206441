package spec

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
)

// largestInput is in bytes.
const largestInput = 1 << 20

// An unencodable input is one that does not encode as JSON.
type unencodable struct {
	value any
	err   error
}

// EncodeInput returns an input as JSON, nil as it is, or an unencodable one.
func EncodeInput(value any) any {
	switch value.(type) {
	case nil, unencodable:
		return value
	}
	data, err := json.Marshal(value)
	if err != nil {
		return unencodable{value, err}
	}
	return json.RawMessage(data)
}

// InputBytes is an input that EncodeInput has returned; nil if there is none.
func (j *Job) InputBytes() []byte {
	data, _ := j.Input.(json.RawMessage)
	return data
}

const inputPath = "spec.input"

func checkInput(input any) []FieldError {
	switch input := input.(type) {
	case unencodable:
		return []FieldError{Invalid(inputPath, fmt.Sprintf("%T", input.value), input.err.Error())}
	case json.RawMessage:
		if len(input) > largestInput {
			return []FieldError{{Field: inputPath, Kind: "TooLong", Value: Raw(fmt.Sprintf("%d bytes", len(input))),
				Detail: fmt.Sprintf("may not be more than %d bytes of JSON", largestInput)}}
		}
	}
	return nil
}

// checkInputUpdate wants the input to stay. Inputs may be large: they are distinguished by
// their sizes and digests.
func (j *Job) checkInputUpdate(old *Job) []FieldError {
	now, was := j.InputBytes(), old.InputBytes()
	if _, bad := j.Input.(unencodable); bad || bytes.Equal(now, was) {
		return nil
	}
	return []FieldError{Invalid(inputPath, Raw(digest(now)), "field is immutable: the job has "+digest(was))}
}

// OnlyInput reports whether nothing is wrong with an update but that it has another input.
func OnlyInput(faults []FieldError) bool { return len(faults) == 1 && faults[0].Field == inputPath }

func digest(input []byte) string {
	if input == nil {
		return "none"
	}
	return fmt.Sprintf("%d bytes with SHA-256 %.8x", len(input), sha256.Sum256(input))
}
