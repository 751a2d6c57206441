package conformance

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func load(t *testing.T, file string) []*Case {
	t.Helper()
	cases, err := Load("testdata/" + file)
	require.NoError(t, err)
	return cases
}

func find(t *testing.T, file, name string) *Case {
	t.Helper()
	for _, c := range load(t, file) {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("no case %q in %s", name, file)
	return nil
}

func TestCompareAgreesWithTheRecording(t *testing.T) {
	for file, count := range map[string]int{"named.json": 166, "random.json": 1500, "validation.json": 141} {
		cases := load(t, file)
		require.Len(t, cases, count)
		for _, c := range cases {
			require.Empty(t, Compare(c, c.Want()), c.Name)
		}
	}
}

// Every leaf of an observation that is changed has to be reported, under its
// own path.
func TestCompareReportsEachField(t *testing.T) {
	cases := []*Case{
		find(t, "named.json", "simple-success"),
		find(t, "named.json", "elastic-rejected"),
		find(t, "named.json", "delete-background"),
		find(t, "random.json", "r1-01338"),
		find(t, "validation.json", "negative-many"),
	}
	// Not compared are the numbers by which pods are matched and, if there is no
	// job, all but the reasons for it.
	matched := []string{"Ordinal", "Index", "Attempt"}
	for _, c := range cases {
		seen := reflect.ValueOf(c.Want())
		visitLeaves(seen.Elem(), "", func(path string, leaf reflect.Value) {
			if slices.Contains(matched, path[strings.LastIndex(path, ".")+1:]) {
				return
			}
			if !c.Outcome.Accepted && path != ".Accepted" && !strings.HasPrefix(path, ".Errors") {
				return
			}
			old := reflect.New(leaf.Type()).Elem()
			old.Set(leaf)
			change(leaf)
			require.NotEmpty(t, Compare(c, seen.Interface().(*Observation)), "%s: changed %s", c.Name, path)
			leaf.Set(old)
			require.Empty(t, Compare(c, seen.Interface().(*Observation)), "%s: restored %s", c.Name, path)
		})
	}
}

// visitLeaves calls visit for each value inside v that holds no further ones.
func visitLeaves(v reflect.Value, path string, visit func(path string, leaf reflect.Value)) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			visitLeaves(v.Field(i), path+"."+v.Type().Field(i).Name, visit)
		}
	case reflect.Slice:
		for i := range v.Len() {
			visitLeaves(v.Index(i), path+"[]", visit)
		}
	default:
		visit(path, v)
	}
}

// change gives a leaf another value.
func change(leaf reflect.Value) {
	switch leaf.Kind() {
	case reflect.Bool:
		leaf.SetBool(!leaf.Bool())
	case reflect.Int:
		leaf.SetInt(leaf.Int() + 1)
	case reflect.Float64:
		leaf.SetFloat(leaf.Float() + 0.2)
	case reflect.String:
		leaf.SetString(leaf.String() + "x")
	case reflect.Pointer:
		value := reflect.New(leaf.Type().Elem())
		if !leaf.IsNil() {
			value.Elem().Set(leaf.Elem())
			change(value.Elem())
		}
		leaf.Set(value)
	default:
		panic("no leaf: " + leaf.Kind().String())
	}
}

func TestCompareIsReadable(t *testing.T) {
	c := find(t, "named.json", "simple-success")
	tests := map[string]struct {
		change func(*Observation)
		want   []string
	}{
		"a text": {
			change: func(o *Observation) { o.Conditions[1].Reason = "x" },
			want:   []string{`conditions[1].reason: got "x", want "CompletionsReached"`},
		},
		"a number": {
			change: func(o *Observation) { o.Succeeded = 3 },
			want:   []string{`succeeded: got 3, want 1`},
		},
		"a time": {
			change: func(o *Observation) { o.FinishedAt = new(Seconds(7.5)) },
			want:   []string{`finishedAt: got 7.5, want 7`},
		},
		"a time that is within the tolerance": {
			change: func(o *Observation) { o.FinishedAt = new(Seconds(7.1)) },
		},
		"a time that is missing": {
			change: func(o *Observation) { o.FinishedAt = nil },
			want:   []string{`finishedAt: got "none", want "7"`},
		},
		"a pod that is missing": {
			change: func(o *Observation) { o.Pods = nil },
			want:   []string{`pods[0]: missing, want one created at 0`},
		},
		"a pod too many": {
			change: func(o *Observation) { o.Pods = append(o.Pods, Pod{Ordinal: 1, Index: -1, Created: 3}) },
			want:   []string{`pods[1]: got one created at 3, want none`},
		},
		"an event too many": {
			change: func(o *Observation) { o.Events = append(o.Events, Event{"Normal", "Resumed", "Job resumed"}) },
			want:   []string{`events: got {"Normal" "Resumed" "Job resumed"}, want none such`},
		},
		"an event that is missing": {
			change: func(o *Observation) { o.Events = o.Events[1:] },
			want:   []string{`events: got none such, want {"Normal" "SuccessfulCreate" "Created pod: {pod-0}"}`},
		},
		"events that are not known": {
			change: func(o *Observation) { o.Events = nil },
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := c.Want()
			test.change(got)
			require.Equal(t, test.want, Compare(c, got))
		})
	}
}

// The pods that an Indexed job creates at one instant may have any order.
func TestCompareRenumbersIndexedPods(t *testing.T) {
	c := find(t, "random.json", "r1-01338")
	got := c.Want()
	got.Events = slices.Clone(got.Events)
	for i := range got.Events {
		message := &got.Events[i].Message
		*message = strings.NewReplacer("{pod-3}", "{pod-4}", "{pod-4}", "{pod-3}").Replace(*message)
	}
	require.NotEmpty(t, Compare(c, &Observation{Accepted: true}))
	got.Pods[3], got.Pods[4] = got.Pods[4], got.Pods[3]
	got.Pods[3].Ordinal, got.Pods[4].Ordinal = 3, 4
	require.Empty(t, Compare(c, got))
}

func TestPlanFor(t *testing.T) {
	var s Scenario
	require.NoError(t, json.Unmarshal([]byte(`{"pods": {
		"index": {"1": [{"start": 1}, {"start": 2}]},
		"ordinal": [{"start": 3}, {"start": 4}],
		"default": {"start": 5}}}`), &s))
	require.Equal(t, Seconds(1), s.PlanFor(1, 0, 7).Start)
	require.Equal(t, Seconds(2), s.PlanFor(1, 2, 7).Start, "the last one repeats")
	require.Equal(t, Seconds(5), s.PlanFor(0, 0, 7).Start)
	require.Equal(t, Seconds(4), s.PlanFor(-1, 0, 7).Start)
	require.Equal(t, Seconds(3), s.PlanFor(-1, 0, 0).Start)
	require.Equal(t, Run{D: 5}, (&Scenario{}).PlanFor(0, 0, 0).Run(0))
}

func TestPlan(t *testing.T) {
	p := Plan{Runs: []Run{{D: 1}, {D: 2}}}
	require.Equal(t, Run{D: 1}, p.Run(0))
	require.Equal(t, Run{D: 2}, p.Run(9))
	require.Equal(t, Term{After: 0, Exit: 143}, p.Stop())
	p.Term = &Term{After: 9}
	require.Equal(t, Term{After: 9, Exit: 0}, p.Stop())
	p.Term = &Term{After: 31, Exit: 1}
	require.Equal(t, Term{After: 30, Exit: 137}, p.Stop())
}

func TestUnexcused(t *testing.T) {
	differences := []string{"conditions[1].at: got 1, want 2", "failed: got 1, want 2"}
	require.Equal(t, differences, Unexcused("simple-success", differences))
	require.Equal(t, differences[1:], Unexcused("fraction-success", differences))
}

func TestExcusesNameCases(t *testing.T) {
	names := make(map[string]bool)
	for _, file := range []string{"named.json", "validation.json"} {
		for _, c := range load(t, file) {
			names[c.Name] = true
		}
	}
	for name := range Excuses {
		require.Contains(t, names, name)
	}
}
