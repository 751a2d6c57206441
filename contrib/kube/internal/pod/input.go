package pod

import (
	"encoding/json"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// An input is [batch.Job.Input] of a job whose container is a function: what is the
// same for all attempts of what the function sees of its container.
type input struct {
	Args []string          `json:"args"`
	Env  map[string]string `json:"env"`
}

// largestInput is how much an input may be. A function sees its container in any case.
const largestInput = 1 << 20

// Input returns the input of a job with that container; nil if it is not a function, or
// its variables are too much. Variables that each attempt has its own value of are left
// out, and references to them are left as they are.
func Input(c *corev1.Container) any {
	if !strings.HasPrefix(c.Image, FunctionPrefix) {
		return nil
	}
	env := &environment{values: make(map[string]string, len(c.Env))}
	for _, v := range c.Env {
		if v.ValueFrom == nil {
			env.set(v.Name, env.expand(v.Value))
		}
	}
	in := input{Args: env.expandAll(slices.Concat(c.Command, c.Args)), Env: env.values}
	if env.check() != nil {
		return nil
	}
	data, _ := json.Marshal(in) // cannot fail
	if len(data) > largestInput {
		return nil
	}
	return json.RawMessage(data)
}
