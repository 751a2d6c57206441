package convert

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

func BenchmarkManifest(b *testing.B) {
	job, _, err := anything.Job(podJob(b, "env: [{name: A, value: b}]", ""))
	require.NoError(b, err)
	status := batch.Status{UID: someUID, Active: 3}
	b.ReportAllocs()
	for b.Loop() {
		Manifest(job, status, "default")
	}
}

func BenchmarkPod(b *testing.B) {
	job, _, err := anything.Job(podJob(b, "env: [{name: A, value: b}]", ""))
	require.NoError(b, err)
	m := Manifest(job, batch.Status{UID: someUID}, "default")
	a := attempt(nil)
	b.ReportAllocs()
	for b.Loop() {
		Pod(m, a, "default")
	}
}

func BenchmarkJob(b *testing.B) {
	m := podJob(b, "env: [{name: A, value: b}]", "")
	b.ReportAllocs()
	for b.Loop() {
		_, _, err := anything.Job(m)
		require.NoError(b, err)
	}
}
