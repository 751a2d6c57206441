package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestATerminalIsRedrawnInPlace(t *testing.T) {
	var out bytes.Buffer
	s := &screen{w: &out, live: true}
	s.frame("a\nb\n")
	s.frame("c\nd\ne\n")
	s.final("f\n")
	s.frame("next\n")
	require.Equal(t, "a\x1b[K\nb\x1b[K\n\x1b[J"+
		"\x1b[2A"+"c\x1b[K\nd\x1b[K\ne\x1b[K\n\x1b[J"+
		"\x1b[3A"+"f\x1b[K\n\x1b[K\n\x1b[J"+
		"next\x1b[K\n\x1b[J", out.String())
}

func TestElsewhereOnlyTheLastStateIsPrinted(t *testing.T) {
	var out bytes.Buffer
	s := newScreen(&out)
	s.frame("a\nb\n")
	s.final("c\n")
	s.frame("d\n")
	s.final("e\n")
	require.Equal(t, "c\n\ne\n\n", out.String())
}

func TestCenter(t *testing.T) {
	require.Equal(t, " ✗   ", center("✗", 4)+" ")
	require.Equal(t, "abc", center("abcdef", 3))
	require.Equal(t, "", center("abc", -1))
}
