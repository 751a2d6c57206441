package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLines(t *testing.T) {
	var out strings.Builder
	l := &lines{screen: new(screen), to: &out, prefix: "[pod/a] "}
	for _, text := range []string{"one\ntw", "o", "\n\nthree\n", "fo", "ur"} {
		n, err := l.Write([]byte(text))
		require.NoError(t, err)
		require.Equal(t, len(text), n)
	}
	require.Equal(t, "[pod/a] one\n[pod/a] two\n[pod/a] \n[pod/a] three\n", out.String(), "the rest may go on")
	require.NoError(t, l.Close())
	require.NoError(t, l.Close())
	require.True(t, strings.HasSuffix(out.String(), "\n[pod/a] four\n"))

	out.Reset()
	_, err := l.Write(make([]byte, longest+1))
	require.NoError(t, err)
	require.Equal(t, len("[pod/a] \n")+longest+1, out.Len(), "not all of a line without an end is kept")
}
