package convert

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

func BenchmarkManifest(b *testing.B) {
	job, _, err := anything.Job(podJob(b, "env: [{name: A, value: b}]", ""), FromCode)
	require.NoError(b, err)
	status := batch.Status{UID: someUID, Active: 3}
	b.ReportAllocs()
	for b.Loop() {
		Manifest(job, status, "default")
	}
}

// BenchmarkManifestOfStored is of a job that has finished before a restart: its
// manifest is read each time.
func BenchmarkManifestOfStored(b *testing.B) {
	job, _, err := anything.Job(podJob(b, "env: [{name: A, value: b}]", ""), FromClient)
	require.NoError(b, err)
	job.Executor = nil
	status := batch.Status{UID: someUID, Active: 3}
	b.ReportAllocs()
	for b.Loop() {
		Manifest(job, status, "default")
	}
}

func BenchmarkPod(b *testing.B) {
	job, _, err := anything.Job(podJob(b, "env: [{name: A, value: b}]", ""), FromCode)
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
		_, _, err := anything.Job(m, FromCode)
		require.NoError(b, err)
	}
}
