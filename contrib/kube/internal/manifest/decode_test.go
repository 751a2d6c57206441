package manifest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
)

func names(objects Objects) []string {
	list := []string{}
	for _, m := range objects.Jobs {
		list = append(list, m.Name)
	}
	return list
}

const good = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: good}\n"

func inJSON(name string) string {
	return fmt.Sprintf(`{"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": %q}}`, name)
}

func TestDecode(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []string // names
	}{
		"nothing":                      {"", []string{}},
		"nothing but a comment":        {"# nothing\n", []string{}},
		"nothing but separators":       {"---\n---\n", []string{}},
		"one document":                 {good, []string{"good"}},
		"several documents":            {good + "---\n" + good + "---\n", []string{"good", "good"}},
		"a separator with a comment":   {good + "--- # next\n" + good, []string{"good", "good"}},
		"lines that end as on Windows": {strings.ReplaceAll(good+"---\n"+good, "\n", "\r\n"), []string{"good", "good"}},
		"JSON": {
			`{"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}}`, []string{"j"},
		},
		"JSON values in a row": {
			`{"apiVersion": "batch/v1", "kind": "Job"}` + "\n" + `{"apiVersion": "batch/v1", "kind": "Job"}`, []string{"", ""},
		},
		"JSON values between lines":  {inJSON("a") + "\n---\n" + inJSON("b"), []string{"a", "b"}},
		"JSON, and then YAML":        {inJSON("a") + "\n---\n" + good, []string{"a", "good"}},
		"YAML, and then JSON values": {good + "---\n" + inJSON("a") + inJSON("b"), []string{"good", "a", "b"}},
		"flows between lines":        {"{apiVersion: batch/v1, kind: Job}\n---\n" + good, []string{"", "good"}},
		"an end that is marked":      {good + "...\n", []string{"good"}},
		"YAML that begins like JSON": {`{apiVersion: batch/v1, kind: Job, metadata: {name: flow}}`, []string{"flow"}},
		"a list": {
			"apiVersion: v1\nkind: List\nitems:\n- {apiVersion: batch/v1, kind: Job, metadata: {name: in}}\n", []string{"in"},
		},
		"an empty list": {
			"apiVersion: v1\nkind: List\nmetadata: {resourceVersion: \"\"}\nitems: []\n", []string{},
		},
		"a list of jobs": {
			"apiVersion: batch/v1\nkind: JobList\nitems:\n- metadata: {name: in}\n", []string{"in"},
		},
		"aliases": {
			good + "spec: {template: {metadata: &m {labels: {a: b}}, spec: {nodeSelector: {c: d}}}}\n", []string{"good"},
		},
		"keys that are merged": {"x: &x {name: merged}\n" + "---\n" + good, nil},
		"a value that merging replaces": {
			"apiVersion: batch/v1\nkind: Job\nmetadata:\n  <<: {name: a, namespace: ns}\n  name: b\n", []string{"b"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			jobs, err := Decode([]byte(c.text))
			if c.want == nil {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, names(jobs))
			for _, m := range jobs.Jobs {
				require.Equal(t, "batch/v1 Job", m.APIVersion+" "+m.Kind)
			}
		})
	}
}

func TestDecodeErrors(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"an unknown field": {
			good + "spec: {paralelism: 1}", `strict decoding error: unknown field "spec.paralelism"`,
		},
		"a field with a capital": {good + "Spec: {}", `strict decoding error: unknown field "Spec"`},
		"an unknown field in JSON": {
			`{"apiVersion": "batch/v1", "kind": "Job", "spec": {"template": {"spec": {"bogus": 1}}}}`,
			`strict decoding error: unknown field "spec.template.spec.bogus"`,
		},
		"a doubled field": {
			good + "spec:\n  parallelism: 1\n  parallelism: 2", `strict decoding error: duplicate field "spec.parallelism"`,
		},
		"a doubled field in JSON": {
			`{"apiVersion": "batch/v1", "kind": "Job", "spec": {"parallelism": 1, "parallelism": 2}}`,
			`strict decoding error: duplicate field "spec.parallelism"`,
		},
		"a doubled field in a list": {
			good + "spec:\n  template:\n    spec:\n      containers:\n      - {name: a}\n      - {name: b, name: c}",
			`strict decoding error: duplicate field "spec.template.spec.containers[1].name"`,
		},
		"a doubled key of a map": {
			good + "spec: {template: {metadata: {labels: {a: b, a: c}}}}",
			`strict decoding error: duplicate field "spec.template.metadata.labels.a"`,
		},
		"two kinds of errors": {
			good + "spec: {bogus: 1, suspend: true, suspend: true}",
			`strict decoding error: duplicate field "spec.suspend", unknown field "spec.bogus"`,
		},
		"a text for a number": {
			good + "spec: {completions: three}",
			`json: cannot unmarshal string into Go struct field JobSpec.spec.completions of type int32`,
		},
		"a fraction": {
			good + "spec: {completions: 1.5}",
			`json: cannot unmarshal number 1.5 into Go struct field JobSpec.spec.completions of type int32`,
		},
		"too large a number": {
			good + "spec: {completions: 2147483648}",
			`json: cannot unmarshal number 2147483648 into Go struct field JobSpec.spec.completions of type int32`,
		},
		"a truth for a text": {
			good + "spec: {template: {metadata: {labels: {a: yes}}}}",
			`json: cannot unmarshal bool into Go struct field ObjectMeta.spec.template.metadata.labels of type string`,
		},
		"another kind": {
			"apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: c}",
			`batch/v1 CronJob "c" cannot be run: only a Job of batch/v1 can`,
		},
		"another version": {
			"apiVersion: batch/v2\nkind: Job", `batch/v2 Job "" cannot be run: only a Job of batch/v1 can`,
		},
		"no kind at all": {
			"metadata: {name: x}", `apiVersion and kind are missing: batch/v1 and Job are wanted`,
		},
		"in the second document": {
			good + "---\n" + good + "bogus: 1", `document 2: strict decoding error: unknown field "bogus"`,
		},
		"in an item": {
			"apiVersion: v1\nkind: List\nitems:\n- {apiVersion: batch/v1, kind: Job}\n- {apiVersion: batch/v1, kind: Job, " +
				"bogus: 1}\n",
			`items[1]: strict decoding error: unknown field "bogus"`,
		},
		"in an item of a list of jobs": {
			"apiVersion: batch/v1\nkind: JobList\nitems: [{kind: Pod, apiVersion: v1}]",
			`items[0]: v1 Pod is no Job of batch/v1`,
		},
		"an unknown field of a list": {
			"apiVersion: v1\nkind: List\nbogus: 1\nitems: []\n", `strict decoding error: unknown field "bogus"`,
		},
		"a list":                      {"- 1\n- 2", `json: cannot unmarshal array into Go value of type v1.TypeMeta`},
		"something after JSON":        {inJSON("a") + " garbage", "something follows the first object"},
		"after an end that is marked": {good + "...\n" + good, "something follows the first object"},
		"after a return": {
			strings.ReplaceAll(good+"---\n"+good, "\n", "\r"), "something follows the first object",
		},
		"JSON values after a comment": {"# two\n" + inJSON("a") + "\n" + inJSON("b"), "something follows the first object"},
		"in the second JSON value": {
			inJSON("a") + "\n---\n{\"apiVersion\": \"batch/v1\", \"kind\": \"Job\", \"bogus\": 1}",
			`document 2: strict decoding error: unknown field "bogus"`,
		},
		"bad YAML":    {"a: [", `yaml: line 1: did not find expected node content`},
		"broken JSON": {`{"apiVersion": "batch/v1"`, `yaml: line 1: did not find expected ',' or '}'`},
		"a text":      {"hello", `json: cannot unmarshal string into Go value of type v1.TypeMeta`},
	} {
		t.Run(name, func(t *testing.T) {
			jobs, err := Decode([]byte(c.text))
			require.ErrorContains(t, err, c.want)
			require.Empty(t, jobs)
		})
	}
	_, err := Decode([]byte(good + "bogus: 1\n---\n" + good + "---\n" + good + "spec: {x: 1}"))
	require.EqualError(
		t, err,
		"document 1: strict decoding error: unknown field \"bogus\"\ndocument 3: strict decoding error: unknown field "+
			"\"spec.x\"",
		"all that is wrong",
	)
	_, err = Decode(make([]byte, MaxSize+1))
	require.ErrorContains(t, err, "at most 16777216 are read")
}

// TestDecodeIsBounded wants an answer, and soon, to documents that are small and
// mean much.
func TestDecodeIsBounded(t *testing.T) {
	var laughs strings.Builder
	laughs.WriteString("a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n")
	for i := 1; i < 12; i++ {
		fmt.Fprintf(
			&laughs, "a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 9), ", "),
		)
	}
	for name, text := range map[string]string{
		"many aliases": "a: &a " + strings.Repeat("x", 1<<20) + "\nb: [" + strings.Repeat("*a,", 200) + "]",
		"aliases as keys": "a: &a {" + strings.Repeat("x", 1000) + ": 1}\nb: [" + strings.Repeat("{<<: *a},",
			40_000) + "]",
		"aliases of aliases": laughs.String(),
		"an alias of itself": "a: &a [*a]",
		"deep YAML":          strings.Repeat("[", 100_000),
		"lists of lists":     strings.Repeat(`{"apiVersion":"v1","kind":"List","items":[`, 1000) + strings.Repeat("]}", 1000),
		"deep JSON":          `{"a":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + "}",
	} {
		t.Run(name, func(t *testing.T) {
			before := allocated()
			_, err := Decode([]byte(text))
			require.Error(t, err)
			require.Less(t, allocated()-before, uint64(200<<20))
		})
	}
}

// allocated is how many bytes have ever been.
func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

func TestLoad(t *testing.T) {
	jobs, err := Load("testdata/pi.yaml")
	require.NoError(t, err)
	require.Equal(t, []string{"pi"}, names(jobs))
	require.EqualValues(t, 4, *jobs.Jobs[0].Spec.BackoffLimit)

	jobs, err = Load("testdata/folder")
	require.NoError(t, err)
	require.Equal(t, []string{"first", "second", "third", "fourth", "fifth"}, names(jobs))

	_, err = Load("testdata/nothing")
	require.ErrorIs(t, err, fs.ErrNotExist)

	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a.yaml"), []byte("kind: X"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "b.yml"), []byte(good+"bogus: 1"), 0o600))
	_, err = Load(dir)
	require.ErrorContains(t, err, filepath.Join(dir, "a.yaml")+": ")
	require.ErrorContains(t, err, filepath.Join(dir, "b.yml")+`: strict decoding error: unknown field "bogus"`)
}

// TestDecodeValues wants the config maps and secrets of a file beside its jobs.
func TestDecodeValues(t *testing.T) {
	o, err := Decode([]byte(good + `---
apiVersion: v1
kind: ConfigMap
metadata: {name: words}
data: {first: foo}
---
apiVersion: v1
kind: Secret
metadata: {name: key}
data: {key: a2V5}
stringData: {text: plain}
`))
	require.NoError(t, err)
	require.Equal(t, []string{"good"}, names(o))
	require.Equal(t, map[string]string{"first": "foo"}, o.ConfigMaps[0].Data)
	require.Equal(t, "key", string(o.Secrets[0].Data["key"]))
	_, err = Decode([]byte("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {a: b, bogus}\ntype: {}"))
	require.Error(t, err)
	_, err = Decode([]byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: s}\nbogus: 1"))
	require.ErrorContains(t, err, `unknown field "bogus"`)
}

// FuzzDecode wants no panic, and jobs that are written down to be read again as
// they are.
func FuzzDecode(f *testing.F) {
	for _, name := range []string{"testdata/pi.yaml", "testdata/folder/a.yaml", "testdata/folder/b.json"} {
		text, err := os.ReadFile(name)
		require.NoError(f, err)
		f.Add(text)
	}
	f.Add([]byte(good + "spec: {suspend: true, suspend: false}"))
	f.Add([]byte("x: &x {a: 1}\ny: {<<: *x, <<: *x}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		jobs, err := Decode(data)
		if err != nil {
			require.Empty(t, jobs)
			require.False(t, errors.Is(err, fs.ErrNotExist))
			return
		}
		for _, m := range jobs.Jobs {
			text, err := json.Marshal(m)
			require.NoError(t, err)
			again, err := Decode(text)
			require.NoError(t, err, "%s", text)
			require.Len(t, again.Jobs, 1)
			require.True(t, apiequality.Semantic.DeepEqual(m, again.Jobs[0]), "%s", text)
		}
	})
}
