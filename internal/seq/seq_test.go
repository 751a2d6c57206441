package seq

import (
	"errors"
	"iter"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEach(t *testing.T) {
	require.Equal(t, []string{"1", "2"}, slices.Collect(Each(slices.Values([]int{1, 2}), strconv.Itoa)))
	for text := range Each(slices.Values([]int{1, 2}), strconv.Itoa) {
		require.Equal(t, "1", text)
		break
	}
}

func TestEachUntilError(t *testing.T) {
	wrong := errors.New("wrong")
	numbers := func(yield func(int, error) bool) { _ = yield(1, nil) && yield(2, wrong) && yield(3, nil) }
	collect := func(seq iter.Seq2[string, error], most int) (texts []string, last error) {
		for text, err := range seq {
			texts, last = append(texts, text), err
			if len(texts) == most {
				break
			}
		}
		return texts, last
	}
	texts, err := collect(EachUntilError(numbers, strconv.Itoa), 10)
	require.Equal(t, []string{"1", ""}, texts)
	require.Equal(t, wrong, err)
	texts, err = collect(EachUntilError(numbers, strconv.Itoa), 1)
	require.Equal(t, []string{"1"}, texts)
	require.NoError(t, err)
}

func TestSlice(t *testing.T) {
	require.Equal(t, []string{"1", "2"}, Slice([]int{1, 2}, strconv.Itoa))
	require.Nil(t, Slice([]int{}, strconv.Itoa))
}
