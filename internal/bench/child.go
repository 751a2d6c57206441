package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// What is measured in memory is measured in a process of its own, which is this
// program with an environment variable that names the measurement: memory that
// an earlier one has left, or stacks of goroutines that are gone, do not count.
const childVariable = "BATCH_BENCH_CHILD"

// figures are the results of a child, by name.
type figures map[string]float64

// A childFunc measures something for a size.
type childFunc func(size int) (figures, error)

// children are the measurements that a child can be asked for.
var children = map[string]childFunc{
	"blocked/errgroup":         blockedErrgroup(false),
	"blocked/errgroup-context": blockedErrgroup(true),
	"blocked/batch":            blockedBatch(library{}, false),
	"blocked/batch-indexed":    blockedBatch(library{indexed: true}, false),
	"blocked/batch-context":    blockedBatch(library{}, true),
	"cancel/batch":             cancelBatch,
	"cancel/errgroup":          cancelErrgroup,
	"completions":              completionsMemory(0),
	"completions-tenth-fails":  completionsMemory(10),
	"jobs/none":                noJobs,
	"jobs/suspended":           suspendedJobs,
	"jobs/waiting":             waitingJobs,
	"parallelism/errgroup":     parallelErrgroup,
	"parallelism/batch":        parallelBatch,
}

// runIfChild does what a parent has asked for, and reports whether there is one.
func runIfChild(out io.Writer) bool {
	name, arg, ok := strings.Cut(os.Getenv(childVariable), " ")
	if !ok {
		return false
	}
	size, err := strconv.Atoi(arg)
	result := figures{}
	if err == nil {
		result, err = children[name](size)
	}
	if err == nil {
		err = json.NewEncoder(out).Encode(result)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return true
}

// childTimeout ends a measurement that hangs.
const childTimeout = 3 * time.Minute

// askChild runs a measurement in a process of its own.
func askChild(name string, size int) (figures, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), childTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, program)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d", childVariable, name, size))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s of %d: %w", name, size, errors.Join(err, context.Cause(ctx)))
	}
	result := figures{}
	if err := json.Unmarshal(out, &result); err != nil {
		return nil, fmt.Errorf("%s of %d: %w: %q", name, size, err, out)
	}
	return result, nil
}

// A footprint is the memory of this process.
type footprint struct{ heap, stacks, sys, rss float64 }

// takeFootprint frees what can be freed and measures the rest.
func takeFootprint() footprint {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return footprint{
		heap: float64(m.HeapInuse), stacks: float64(m.StackInuse), sys: float64(m.Sys), rss: procStatus("VmRSS"),
	}
}

// since adds to the result how much memory each of n things takes.
func (f footprint) since(before footprint, n int, result figures) {
	result["heap"] = (f.heap - before.heap) / float64(n)
	result["stacks"] = (f.stacks - before.stacks) / float64(n)
	result["inuse"] = result["heap"] + result["stacks"]
	result["sys"] = (f.sys - before.sys) / float64(n)
	result["rss"] = (f.rss - before.rss) / float64(n)
}

// procStatus reads a size in bytes from /proc; 0 if there is none.
func procStatus(field string) float64 {
	text, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			kib, _ := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")))
			return float64(kib) * 1024
		}
	}
	return 0
}
