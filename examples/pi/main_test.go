package main

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/runtocompletion/batch"
	"github.com/stretchr/testify/require"
)

// pods matches the random part of an attempt's name; see readable.
var (
	pods  = regexp.MustCompile(`pi-[a-z0-9]{5}\b`)
	times = regexp.MustCompile(`(Start Time|Completed At):( +).*`)
)

// readable replaces what differs from run to run.
func readable(out string) string {
	out = pods.ReplaceAllString(out, "pi-xxxxx")
	return times.ReplaceAllString(out, "$1:${2}(a time)")
}

const nativeOutput = `job.batch/pi created

# kubectl get jobs
NAME   STATUS     COMPLETIONS   DURATION   AGE
pi     Complete   1/1           0s         0s

# kubectl describe job pi
Name:             pi
Namespace:        default
Labels:           <none>
Annotations:      <none>
Parallelism:      1
Completions:      1
Completion Mode:  NonIndexed
Suspend:          false
Backoff Limit:    4
Start Time:       (a time)
Completed At:     (a time)
Duration:         0s
Pods Statuses:    0 Active (0 Ready) / 1 Succeeded / 0 Failed
Pod Template:
  Containers:
   pi:
    Executor:  batch.ExecutorFunc
Events:
  Type    Reason            Age   From            Message
  ----    ------            ----  ----            -------
  Normal  SuccessfulCreate  0s    job-controller  Created pod: pi-xxxxx
  Normal  Completed         0s    job-controller  Job completed

# kubectl get pods -l job-name=pi
NAME       READY   STATUS      RESTARTS   AGE
pi-xxxxx   0/1     Completed   0          0s

# kubectl logs job/pi
3.14159265358979323846264338328
`

func TestNative(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		require.NoError(t, run(t.Context(), []string{"-native", "-digits", "30"}, &out, io.Discard))
		require.Equal(t, nativeOutput, readable(out.String()))
	})
}

func TestPerl(t *testing.T) {
	requirePerl(t)
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-digits", "30"}, &out, io.Discard))
	require.Contains(t, out.String(), "    Command:\n      perl\n      -Mbignum=bpi\n      -wle\n      print bpi(30)\n")
	require.True(t, strings.HasSuffix(out.String(), "\n3.14159265358979323846264338328\n"), out.String())
}

// TestTheDocumentedCommand runs the command of Kubernetes' documentation. A Perl
// that cannot compute the digits is found out before there is a job.
func TestTheDocumentedCommand(t *testing.T) {
	requirePerl(t)
	var out bytes.Buffer
	err := run(t.Context(), nil, &out, io.Discard)
	if unable := checkPerl(t.Context(), 2000); unable != nil {
		t.Log(unable)
		require.EqualError(t, err, unable.Error())
		require.Empty(t, out.String())
		return
	}
	require.NoError(t, err)
	digits, err := pi(t.Context(), 2000)
	require.NoError(t, err)
	require.Contains(t, out.String(), "\n      print bpi(2000)\n")
	require.True(t, strings.HasSuffix(out.String(), "\n"+digits+"\n"), out.String())
}

// TestPerlFails runs a Perl that fails later than it is tried: the job retries
// four times and then has failed, and the views show it.
func TestPerlFails(t *testing.T) {
	path := t.TempDir()
	fakePerl(t, path, `case "$3" in "print bpi(1001)") exit 0;; esac; echo "Can't use an undefined value" >&2; exit 255`)
	t.Setenv("PATH", path)

	var out, waits bytes.Buffer
	err := run(t.Context(), []string{"-backoff", "1ms"}, &out, &waits)
	failure, ok := errors.AsType[*batch.JobError](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, batch.ReasonBackoffLimitExceeded, failure.Reason)
	require.ErrorContains(t, err, "\nthe last attempt printed: Can't use an undefined value")

	text := readable(out.String())
	require.Regexp(t, `pi +Failed +0/1`, text)
	require.Regexp(t, `Pods Statuses: +0 Active \(0 Ready\) / 0 Succeeded / 5 Failed`, text)
	require.Regexp(
		t, `Warning +BackoffLimitExceeded +\d+s +job-controller +Job has reached the specified backoff limit`, text,
	)
	require.Regexp(t, `(pi-xxxxx +0/1 +Error +0 +\d+s\n){5}`, text)
	require.Contains(t, text, "Found 5 pods, using pod/pi-xxxxx\nCan't use an undefined value\n")
	require.Contains(t, waits.String(), "\nit printed: Can't use an undefined value\n")
}

// TestPerlThatOnlyHasATable runs the Perl of Debian 12.
func TestPerlThatOnlyHasATable(t *testing.T) {
	path := t.TempDir()
	fakePerl(
		t, path, `case "$3" in "print bpi(1001)") echo "Can't use an undefined value" >&2; exit 255;; esac; echo 3.14`,
	)
	t.Setenv("PATH", path)
	var out bytes.Buffer
	require.EqualError(t, run(t.Context(), nil, &out, io.Discard),
		"perl cannot compute more than 1000 digits (exit status 255): Can't use an undefined value\n"+
			"install a newer Math::BigInt (on Debian and Ubuntu: libmath-bigint-perl), or try -digits 1000, or -native")
	require.Empty(t, out.String(), "there is no job")
	require.NoError(t, run(t.Context(), []string{"-digits", "1000"}, &out, io.Discard))
}

func TestNoPerl(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	err := run(t.Context(), nil, io.Discard, io.Discard)
	require.EqualError(t, err, "there is no perl on this machine: install it, or compute the digits in Go with -native")
}

func TestPerlWithoutBignum(t *testing.T) {
	path := t.TempDir()
	fakePerl(t, path, "echo 'Can not locate bignum.pm' >&2; exit 2")
	t.Setenv("PATH", path)
	err := run(t.Context(), []string{"-digits", "30"}, io.Discard, io.Discard)
	require.EqualError(t, err, "perl cannot use its module bignum (exit status 2): Can not locate bignum.pm\n"+
		"install it, or compute the digits in Go with -native")
}

func TestBadOptions(t *testing.T) {
	require.EqualError(t, run(t.Context(), []string{"-digits", "0"}, io.Discard, io.Discard),
		"-digits 0: must be at least 1")
}
