package checkpoint

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCheckpointIsHandedOn(t *testing.T) {
	var b Book
	require.Nil(t, b.TakeOver())
	first, second := b.Add(3), b.Add(1)
	b.Save(first, "", []byte("far"), 3)
	b.Leave(first)
	b.Leave(second)
	require.Same(t, first, b.TakeOver(), "who was left first goes first")
	require.Same(t, second, b.TakeOver())
	require.Nil(t, b.TakeOver())
	require.Equal(t, "far", string(first.Value("")))
	require.Nil(t, first.Value("other"))
	require.EqualValues(t, 3, first.By)
	require.EqualValues(t, -1, second.By)
}

func TestValueIsACopy(t *testing.T) {
	var b Book
	c := b.Add(0)
	b.Save(c, "", []byte("far"), 0)
	c.Value("")[0] = 'c'
	require.Equal(t, "far", string(c.Value("")))
}

func TestChanged(t *testing.T) {
	for _, isStored := range []bool{false, true} {
		b := Book{IsStored: isStored}
		changed := func() map[string]string {
			records := make(map[string]string)
			b.Changed(func(key string, value []byte) {
				records[key] = string(value)
				require.Equal(t, value == nil, records[key] == "")
			})
			return records
		}
		wants := func(records map[string]string) {
			t.Helper()
			if !isStored {
				clear(records)
			}
			require.Equal(t, records, changed())
			require.Empty(t, changed(), "it was told")
		}
		b.Drop(7)
		c := b.Add(7)
		b.Save(c, "", []byte("near"), 0)
		b.Save(c, "", []byte("far"), 0)
		b.Save(c, "iteration/a/b", []byte("x"), 0)
		wants(map[string]string{"checkpoint/7/": "far", "checkpoint/7/iteration/a/b": "x"})
		b.Save(b.Add(8), "x", []byte("y"), 0)
		b.Save(c, "", []byte("farther"), 0)
		b.Leave(c)
		b.Drop(7)
		require.Nil(t, b.Of(7))
		require.Equal(t, 1, b.Len())
		wants(map[string]string{"checkpoint/7/": "", "checkpoint/7/iteration/a/b": "", "checkpoint/8/x": "y"})
		b.DropAll()
		wants(map[string]string{"checkpoint/8/x": ""})
		require.Zero(t, b.Len())
		require.Nil(t, b.TakeOver())
	}
}

func TestLoad(t *testing.T) {
	records := func() map[string][]byte {
		return map[string][]byte{
			Key(12, ""): []byte("a"), Key(12, "iteration/x/y"): []byte("b"), Key(3, ""): []byte("c"), "head": []byte("d"),
		}
	}
	var plain Book
	rest := records()
	require.NoError(t, plain.Load(rest, false))
	require.Equal(t, map[string][]byte{"head": []byte("d")}, rest)
	require.Equal(t, "b", string(plain.Of(12).Value("iteration/x/y")))
	require.Same(t, plain.Of(12), plain.TakeBack(12))
	require.Nil(t, plain.TakeBack(99))
	require.Same(t, plain.Of(3), plain.TakeOver())
	require.Nil(t, plain.TakeOver(), "the other one was taken back")

	var indexed Book
	require.NoError(t, indexed.Load(records(), true))
	require.Equal(t, "a", string(indexed.Of(12).Value("")))
	require.Nil(t, indexed.TakeOver(), "it belongs to its index")

	var bad Book
	require.ErrorContains(t, bad.Load(map[string][]byte{"checkpoint/x/": nil}, true), `record "checkpoint/x/"`)
}
