package engine

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var someone = Identity{Job: "job", UID: [16]byte{0xf0, 0x9f, 0x90, 0x98, 5: 7, 9: 0xab, 15: 3}}

func TestNamesAreUnique(t *testing.T) {
	for name, id := range map[string]Identity{
		"any":       someone,
		"all zeros": {Job: "job"},
		"all ones":  {Job: "job", UID: [16]byte([]byte(strings.Repeat("\xff", 16)))},
	} {
		t.Run(name, func(t *testing.T) {
			seen := make([]bool, suffixes)
			for seq := range int64(1_000_000) {
				number := 0
				for _, letter := range id.suffix(seq) {
					number = number*len(alphabet) + strings.IndexRune(alphabet, letter)
				}
				if seen[number] {
					t.Fatalf("suffix(%d) = %q, which was there before", seq, id.suffix(seq))
				}
				seen[number] = true
			}
		})
	}
}

func TestNamesComeAroundAfterAll(t *testing.T) {
	require.Equal(t, someone.suffix(0), someone.suffix(suffixes))
	require.NotEqual(t, someone.suffix(0), someone.suffix(suffixes-1))
}

func TestNames(t *testing.T) {
	const letters = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk" // 63
	for name, c := range map[string]struct {
		job   string
		index int
		base  string
	}{
		"R117 without index":            {job: "job", index: None, base: "job-"},
		"R117 with index":               {job: "job", index: 12, base: "job-12-"},
		"R15 at the limit":              {job: letters[:57], index: None, base: letters[:57] + "-"},
		"R15 the base is cut":           {job: letters[:58], index: None, base: letters[:58]},
		"R15 of the longest name":       {job: letters, index: None, base: letters[:58]},
		"R117 the index survives":       {job: letters, index: 0, base: letters[:55] + "-0-"},
		"R117 a long index survives":    {job: letters, index: 1234567890, base: letters[:46] + "-1234567890-"},
		"R117 an index that just fits":  {job: letters[:55], index: 7, base: letters[:55] + "-7-"},
		"R117 the largest index of all": {job: letters, index: 1<<63 - 1, base: letters[:37] + "-9223372036854775807-"},
	} {
		t.Run(name, func(t *testing.T) {
			id := Identity{Job: c.job, UID: someone.UID}
			got := id.Name(5, c.index)
			require.Equal(t, c.base, got[:len(got)-suffixLength])
			require.LessOrEqual(t, len(got), 63)
			require.Regexp(t, "^["+alphabet+"]{5}$", got[len(got)-suffixLength:])
		})
	}
}

func TestUIDs(t *testing.T) {
	wellFormed := regexp.MustCompile("^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")
	const n = 100_000
	seen := map[string]bool{someone.String(): true}
	require.Regexp(t, wellFormed, someone.String())
	for seq := range int64(n) {
		uid := someone.AttemptUID(seq)
		if !wellFormed.MatchString(uid) {
			t.Fatalf("AttemptUID(%d) = %q", seq, uid)
		}
		seen[uid] = true
	}
	require.Len(t, seen, n+1)

	other := someone
	other.UID[15]++
	require.NotEqual(t, someone.AttemptUID(0), other.AttemptUID(0))
	other = someone
	other.UID[0]++
	require.NotEqual(t, someone.AttemptUID(0), other.AttemptUID(0))
	require.Equal(t, someone.AttemptUID(7), someone.AttemptUID(7))
}
