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

var decodeTests = map[string]struct {
	text string
	want []string // names
}{
	"nothing":                    {want: []string{}},
	"nothing but a comment":      {text: "# nothing\n", want: []string{}},
	"nothing but separators":     {text: "---\n---\n", want: []string{}},
	"one document":               {text: good, want: []string{"good"}},
	"several documents":          {text: good + "---\n" + good + "---\n", want: []string{"good", "good"}},
	"a separator with a comment": {text: good + "--- # next\n" + good, want: []string{"good", "good"}},
	"lines that end as on Windows": {
		text: strings.ReplaceAll(good+"---\n"+good, "\n", "\r\n"), want: []string{"good", "good"},
	},
	"JSON": {
		text: `{"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}}`, want: []string{"j"},
	},
	"JSON values in a row": {
		text: `{"apiVersion": "batch/v1", "kind": "Job"}` + "\n" + `{"apiVersion": "batch/v1", "kind": "Job"}`,
		want: []string{"", ""},
	},
	"JSON values between lines":  {text: inJSON("a") + "\n---\n" + inJSON("b"), want: []string{"a", "b"}},
	"JSON, and then YAML":        {text: inJSON("a") + "\n---\n" + good, want: []string{"a", "good"}},
	"YAML, and then JSON values": {text: good + "---\n" + inJSON("a") + inJSON("b"), want: []string{"good", "a", "b"}},
	"flows between lines":        {text: "{apiVersion: batch/v1, kind: Job}\n---\n" + good, want: []string{"", "good"}},
	"an end that is marked":      {text: good + "...\n", want: []string{"good"}},
	"YAML that begins like JSON": {
		text: `{apiVersion: batch/v1, kind: Job, metadata: {name: flow}}`, want: []string{"flow"},
	},
	"a list": {
		text: "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: batch/v1, kind: Job, metadata: {name: in}}\n",
		want: []string{"in"},
	},
	"an empty list": {
		text: "apiVersion: v1\nkind: List\nmetadata: {resourceVersion: \"\"}\nitems: []\n", want: []string{},
	},
	"a list of jobs": {
		text: "apiVersion: batch/v1\nkind: JobList\nitems:\n- metadata: {name: in}\n", want: []string{"in"},
	},
	"aliases": {
		text: good + "spec: {template: {metadata: &m {labels: {a: b}}, spec: {nodeSelector: {c: d}}}}\n",
		want: []string{"good"},
	},
	"keys that are merged": {text: "x: &x {name: merged}\n" + "---\n" + good},
	"a value that merging replaces": {
		text: "apiVersion: batch/v1\nkind: Job\nmetadata:\n  <<: {name: a, namespace: ns}\n  name: b\n", want: []string{"b"},
	},
}

func TestDecode(t *testing.T) {
	for name, c := range decodeTests {
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

var decodeErrorsTests = map[string]struct{ text, want string }{
	"an unknown field": {
		text: good + "spec: {paralelism: 1}", want: `strict decoding error: unknown field "spec.paralelism"`,
	},
	"a field with a capital": {text: good + "Spec: {}", want: `strict decoding error: unknown field "Spec"`},
	"an unknown field in JSON": {
		text: `{"apiVersion": "batch/v1", "kind": "Job", "spec": {"template": {"spec": {"bogus": 1}}}}`,
		want: `strict decoding error: unknown field "spec.template.spec.bogus"`,
	},
	"a doubled field": {
		text: good + "spec:\n  parallelism: 1\n  parallelism: 2",
		want: `strict decoding error: duplicate field "spec.parallelism"`,
	},
	"a doubled field in JSON": {
		text: `{"apiVersion": "batch/v1", "kind": "Job", "spec": {"parallelism": 1, "parallelism": 2}}`,
		want: `strict decoding error: duplicate field "spec.parallelism"`,
	},
	"a doubled field in a list": {
		text: good + "spec:\n  template:\n    spec:\n      containers:\n      - {name: a}\n      - {name: b, name: c}",
		want: `strict decoding error: duplicate field "spec.template.spec.containers[1].name"`,
	},
	"a doubled key of a map": {
		text: good + "spec: {template: {metadata: {labels: {a: b, a: c}}}}",
		want: `strict decoding error: duplicate field "spec.template.metadata.labels.a"`,
	},
	"two kinds of errors": {
		text: good + "spec: {bogus: 1, suspend: true, suspend: true}",
		want: `strict decoding error: duplicate field "spec.suspend", unknown field "spec.bogus"`,
	},
	"a text for a number": {
		text: good + "spec: {completions: three}",
		want: `json: cannot unmarshal string into Go struct field JobSpec.spec.completions of type int32`,
	},
	"a fraction": {
		text: good + "spec: {completions: 1.5}",
		want: `json: cannot unmarshal number 1.5 into Go struct field JobSpec.spec.completions of type int32`,
	},
	"too large a number": {
		text: good + "spec: {completions: 2147483648}",
		want: `json: cannot unmarshal number 2147483648 into Go struct field JobSpec.spec.completions of type int32`,
	},
	"a truth for a text": {
		text: good + "spec: {template: {metadata: {labels: {a: yes}}}}",
		want: `json: cannot unmarshal bool into Go struct field ObjectMeta.spec.template.metadata.labels of type string`,
	},
	"another kind": {
		text: "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: c}",
		want: `batch/v1 CronJob "c" cannot be run: only a Job of batch/v1 can`,
	},
	"another version": {
		text: "apiVersion: batch/v2\nkind: Job", want: `batch/v2 Job "" cannot be run: only a Job of batch/v1 can`,
	},
	"no kind at all": {
		text: "metadata: {name: x}", want: `apiVersion and kind are missing: batch/v1 and Job are wanted`,
	},
	"in the second document": {
		text: good + "---\n" + good + "bogus: 1", want: `document 2: strict decoding error: unknown field "bogus"`,
	},
	"in an item": {
		text: "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: batch/v1, kind: Job}\n" +
			"- {apiVersion: batch/v1, kind: Job, bogus: 1}\n",
		want: `items[1]: strict decoding error: unknown field "bogus"`,
	},
	"in an item of a list of jobs": {
		text: "apiVersion: batch/v1\nkind: JobList\nitems: [{kind: Pod, apiVersion: v1}]",
		want: `items[0]: v1 Pod is no Job of batch/v1`,
	},
	"an unknown field of a list": {
		text: "apiVersion: v1\nkind: List\nbogus: 1\nitems: []\n", want: `strict decoding error: unknown field "bogus"`,
	},
	"a list": {
		text: "- 1\n- 2", want: `json: cannot unmarshal array into Go value of type v1.TypeMeta`,
	},
	"something after JSON":        {text: inJSON("a") + " garbage", want: "something follows the first object"},
	"after an end that is marked": {text: good + "...\n" + good, want: "something follows the first object"},
	"after a return": {
		text: strings.ReplaceAll(good+"---\n"+good, "\n", "\r"), want: "something follows the first object",
	},
	"JSON values after a comment": {
		text: "# two\n" + inJSON("a") + "\n" + inJSON("b"), want: "something follows the first object",
	},
	"in the second JSON value": {
		text: inJSON("a") + "\n---\n{\"apiVersion\": \"batch/v1\", \"kind\": \"Job\", \"bogus\": 1}",
		want: `document 2: strict decoding error: unknown field "bogus"`,
	},
	"bad YAML":    {text: "a: [", want: `yaml: line 1: did not find expected node content`},
	"broken JSON": {text: `{"apiVersion": "batch/v1"`, want: `yaml: line 1: did not find expected ',' or '}'`},
	"a text":      {text: "hello", want: `json: cannot unmarshal string into Go value of type v1.TypeMeta`},
}

func TestDecodeErrors(t *testing.T) {
	for name, c := range decodeErrorsTests {
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
