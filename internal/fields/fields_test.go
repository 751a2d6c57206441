package fields

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type rule struct {
	Code int
	On   func(error) bool
}

type declaration struct {
	Name  string
	Input any // data: it has no methods
	Until *time.Time
	Do    fmt.Stringer
	Key   func() string
	Rules []rule
}

func yes(error) bool { return true }
func key() string    { return "key" }

func TestMerge(t *testing.T) {
	noon := time.Unix(1, 0)
	was := declaration{Name: "a", Input: 1, Until: &noon, Do: time.Second, Key: key, Rules: []rule{{1, yes}}}
	live := was
	live.Input, live.Name = 2, "updated"
	now := declaration{Name: "a", Input: 3, Do: time.Hour}
	Merge(&live, &now, &was)
	require.Equal(t, declaration{Name: "updated", Input: 3, Do: time.Hour}, live)
}

func TestDrop(t *testing.T) {
	d := declaration{Name: "a", Input: 1, Do: time.Second, Key: key, Rules: []rule{{1, yes}}}
	Drop(&d)
	require.Equal(t, declaration{Name: "a", Input: 1}, d)
}

func TestGive(t *testing.T) {
	to := declaration{Name: "a", Input: 1, Rules: []rule{{2, nil}}}
	Give(&to, &declaration{Name: "b", Input: 2, Do: time.Second, Key: key, Rules: []rule{{1, yes}}})
	require.Equal(t, "key", to.Key())
	to.Key = nil
	require.Equal(t, declaration{Name: "a", Input: 1, Do: time.Second, Rules: []rule{{2, nil}}}, to)
}

func TestDifference(t *testing.T) {
	type stored struct {
		Name  string
		Count *int
		Tags  map[string]string
		Do    func() `json:"-"`
	}
	base := stored{Name: "a", Count: new(1), Tags: map[string]string{"x": "y"}}
	for name, test := range map[string]struct {
		now  stored
		want string
	}{
		"nothing":     {now: stored{Name: "a", Count: new(1), Tags: map[string]string{"x": "y"}}},
		"a value":     {now: stored{Name: "b", Count: new(1), Tags: base.Tags}, want: `{"Name":"b"}`},
		"nil":         {now: stored{Name: "a", Tags: base.Tags}, want: `{"Count":null}`},
		"all of them": {now: stored{Count: new(0)}, want: `{"Name":"","Count":0,"Tags":null}`},
	} {
		t.Run(name, func(t *testing.T) {
			data := Difference(&test.now, &base)
			require.Equal(t, test.want, string(data))
			if data != nil {
				patched := base
				require.NoError(t, Patch(&patched, data))
				require.Equal(t, test.now, patched)
			}
		})
	}
	for data, want := range map[string]string{`[]`: "cannot unmarshal", `{"X":1}`: `no field "X"`,
		`{"Count":"x"}`: "field Count: "} {
		require.ErrorContains(t, Patch(new(stored), []byte(data)), want)
	}
}

func TestCode(t *testing.T) {
	d := declaration{Name: "a", Do: time.Second, Rules: []rule{{1, nil}, {2, yes}}}
	code := Code(&d)
	require.Len(t, code, 4)
	require.Equal(t, []any{time.Second, nil, nil}, code[:3])
	without := Clone(&d)
	SetCode(&without, nil)
	require.Equal(t, declaration{Name: "a", Rules: []rule{{1, nil}, {2, nil}}}, without)
	require.NotNil(t, d.Rules[1].On, "it has rules of its own")
	SetCode(&without, code)
	require.Equal(t, time.Second, without.Do)
	require.Nil(t, without.Key)
	require.Nil(t, without.Rules[0].On)
	require.True(t, without.Rules[1].On(nil))
}

func TestCloneSharesNothing(t *testing.T) {
	type inner struct {
		Numbers []int
		Of      map[string]string
		hidden  []int
	}
	type outer struct {
		One     *inner
		Many    []inner
		Pointer **int
		Nothing *inner
		Empty   []int
		Do      func()
		Any     any
	}
	shared := []int{1}
	fresh := func() outer {
		return outer{One: &inner{[]int{1}, map[string]string{"a": "b"}, shared}, Many: []inner{{Numbers: []int{2}}},
			Pointer: new(new(3)), Empty: []int{}, Any: shared}
	}
	original := fresh()
	clone := Clone(&original)
	require.Equal(t, fresh(), clone)
	original.One.Numbers[0], original.One.Of["a"], original.Many[0].Numbers[0], **original.Pointer = 9, "x", 9, 9
	*original.One, original.Many[0] = inner{}, inner{}
	require.Equal(t, fresh(), clone)
	require.Same(t, &shared[0], &clone.One.hidden[0], "what is not exported is shared")
}
