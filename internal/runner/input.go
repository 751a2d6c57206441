package runner

import (
	"encoding/json"
	"sync"
)

// An Input is what a job works on, as JSON. It does not change.
type Input struct {
	data []byte

	mu      sync.Mutex // guards the field below
	decoded map[any]any
}

// An inputKey is the key of the value of one type in Input.decoded.
type inputKey[T any] struct{}

// DecodeInput returns an input as a value of one type, and whether there is one. It is
// decoded at the first call for that type: all attempts share the value, or the error.
func DecodeInput[T any](in *Input) (value T, ok bool, err error) {
	if in == nil {
		return value, false, nil
	}
	value, err = decoderOf[T](in)()
	return value, true, err
}

// decoderOf returns what decodes the input once. It is not called under the lock: how a
// type is decoded is user code.
func decoderOf[T any](in *Input) func() (T, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if decode, ok := in.decoded[inputKey[T]{}].(func() (T, error)); ok {
		return decode
	}
	if in.decoded == nil {
		in.decoded = make(map[any]any)
	}
	data := in.data
	decode := sync.OnceValues(func() (value T, err error) {
		err = json.Unmarshal(data, &value)
		return value, err
	})
	in.decoded[inputKey[T]{}] = decode
	return decode
}

func (in *Input) bytes() []byte {
	if in == nil {
		return nil
	}
	return in.data
}

// newInput returns an input; nil if there is none.
func newInput(data []byte) *Input {
	if data == nil {
		return nil
	}
	return &Input{data: data}
}

// forget lets go of decoded values: no attempt needs them any more.
func (in *Input) forget() {
	if in == nil {
		return
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.decoded = nil
}

// Input is that of the attempt's job; nil if that has none, and for the zero Attempt.
func (a Attempt) Input() *Input {
	if a.run == nil {
		return nil
	}
	return a.run.job.input
}
