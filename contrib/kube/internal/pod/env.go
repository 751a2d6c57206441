package pod

import (
	"cmp"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtocompletion/batch"
)

// An environment is a container's variables in the order of their definition.
type environment struct {
	names  []string
	values map[string]string
	spent  int // how many bytes references have been replaced by
}

// maxSpent is how much references may stand for in a container's variables and
// arguments: twenty that double each other are a million, and no system starts
// programs with more than this.
const maxSpent = 2 << 20

// check reports whether references stood for too much.
func (e *environment) check() error {
	if e.spent > maxSpent {
		return errors.New("the container's variables stand for more than 2 MiB in its env, command and args")
	}
	return nil
}

func (e *environment) set(name, value string) {
	if _, again := e.values[name]; !again {
		e.names = append(e.names, name)
	}
	e.values[name] = value
}

// add sets variables that are known by their names, in the order of these.
func (e *environment) add(values map[string]string, prefix string) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		e.set(prefix+name, values[name])
	}
}

// list gives the variables as "NAME=value".
func (e *environment) list() []string {
	list := make([]string, len(e.names))
	for i, name := range e.names {
		list[i] = name + "=" + e.values[name]
	}
	return list
}

const completionIndex = "JOB_COMPLETION_INDEX"

// environment is what the container's env comes to in an attempt. A value may
// refer to variables defined before it. The completion index comes last and only
// if nothing else has its name.
func (p *template) environment(a batch.Attempt, c *corev1.Container) *environment {
	env := &environment{values: make(map[string]string, len(c.Env)+1)}
	for i := range c.EnvFrom {
		env.add(p.settings.Values.all(&c.EnvFrom[i]), c.EnvFrom[i].Prefix)
	}
	meta := sync.OnceValue(func() *metav1.ObjectMeta { return p.metadata(a) })
	for i := range c.Env {
		v := &c.Env[i]
		if v.ValueFrom == nil {
			env.set(v.Name, env.expand(v.Value))
		} else if value, ok := p.valueFrom(meta, c, v.ValueFrom); ok {
			env.set(v.Name, value)
		}
	}
	if _, given := env.values[completionIndex]; !given && a.Index >= 0 {
		env.set(completionIndex, strconv.Itoa(a.Index))
	}
	return env
}

// valueFrom finds the value of a source. An optional one may have none.
func (p *template) valueFrom(meta func() *metav1.ObjectMeta, c *corev1.Container, from *corev1.EnvVarSource) (string,
	bool) {
	switch {
	case from.FieldRef != nil:
		value, _ := FieldValue(meta(), from.FieldRef.FieldPath)
		return value, true
	case from.ResourceFieldRef != nil:
		return ResourceValue(c, p.containers, from.ResourceFieldRef)
	}
	return p.settings.Values.Of(from)
}

func (p *template) metadata(a batch.Attempt) *metav1.ObjectMeta {
	meta := Metadata(p.manifest, Identity{Name: a.Name(), UID: a.UID(), Job: a.Job, JobUID: jobUID(a), Index: a.Index})
	meta.Namespace = cmp.Or(meta.Namespace, metav1.NamespaceDefault)
	return &meta
}

// jobUID is the UID of the attempt's job, with which its token begins.
func jobUID(a batch.Attempt) string {
	uid, _, _ := strings.Cut(a.Token(), "/")
	return uid
}

func (e *environment) expandAll(texts []string) []string {
	expanded := make([]string, len(texts))
	for i, text := range texts {
		expanded[i] = e.expand(text)
	}
	return expanded
}

// expand replaces $(NAME) by the value of the variable if there is one. $$ is a
// dollar sign, so that $$(NAME) is left as $(NAME).
func (e *environment) expand(text string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(text, "$")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		text = e.expandOne(&b, after)
	}
}

// expandOne writes what a dollar sign and the text after it begin with, and
// returns the rest.
func (e *environment) expandOne(b *strings.Builder, after string) (rest string) {
	if strings.HasPrefix(after, "$") {
		b.WriteByte('$')
		return after[1:]
	}
	if name, rest, closed := strings.Cut(after, ")"); closed && strings.HasPrefix(name, "(") {
		if value, ok := e.values[name[1:]]; ok {
			if e.spent += len(value); e.spent <= maxSpent {
				b.WriteString(value)
			}
		} else {
			b.WriteString("$" + name + ")")
		}
		return rest
	}
	b.WriteByte('$')
	return after
}

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

// Values are what config maps and secrets hold for the variables of containers.
type Values struct{ configMaps, secrets map[string]map[string]string }

// NewValues returns the values of objects; of two with one name, the last one counts.
func NewValues(configMaps []*corev1.ConfigMap, secrets []*corev1.Secret) Values {
	v := Values{make(map[string]map[string]string), make(map[string]map[string]string)}
	for _, c := range configMaps {
		v.configMaps[c.Name] = maps.Collect(maps.All(c.Data))
	}
	for _, s := range secrets {
		values := make(map[string]string, len(s.Data)+len(s.StringData))
		for key, value := range s.Data {
			values[key] = string(value)
		}
		maps.Copy(values, s.StringData)
		v.secrets[s.Name] = values
	}
	return v
}

// HasConfigMap reports whether there is a config map of that name.
func (v Values) HasConfigMap(name string) bool { return v.configMaps[name] != nil }

// HasSecret reports whether there is a secret of that name.
func (v Values) HasSecret(name string) bool { return v.secrets[name] != nil }

// Of is the value of a key of a config map or secret.
func (v Values) Of(from *corev1.EnvVarSource) (value string, ok bool) {
	if ref := from.ConfigMapKeyRef; ref != nil {
		value, ok = v.configMaps[ref.Name][ref.Key]
	}
	if ref := from.SecretKeyRef; ref != nil {
		value, ok = v.secrets[ref.Name][ref.Key]
	}
	return value, ok
}

// all are the values of a config map or secret.
func (v Values) all(from *corev1.EnvFromSource) map[string]string {
	if from.ConfigMapRef != nil {
		return v.configMaps[from.ConfigMapRef.Name]
	}
	return v.secrets[from.SecretRef.Name]
}
