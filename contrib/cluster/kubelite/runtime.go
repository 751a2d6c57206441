package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	apitest "k8s.io/cri-api/pkg/apis/testing"
)

// A processRuntime is a container runtime for the kubelet whose containers are
// processes. It keeps the books of sandboxes and containers in the fake one.
type processRuntime struct {
	*apitest.FakeRuntimeService

	dir    string
	ip     string // of all pods: there is no pod network
	images *images

	mu         sync.Mutex // guards the fields below
	containers map[string]*container
}

// A container is one of a pod, as the kubelet wants it.
type container struct {
	id      string
	config  *runtimeapi.ContainerConfig
	sandbox *runtimeapi.PodSandboxConfig
	process *process // nil until it has been started
}

func newProcessRuntime(dir, ip string, images *images) *processRuntime {
	f := apitest.NewFakeRuntimeService()
	f.FakeStatus = &runtimeapi.RuntimeStatus{Conditions: []*runtimeapi.RuntimeCondition{
		{Type: runtimeapi.RuntimeReady, Status: true},
		{Type: runtimeapi.NetworkReady, Status: true},
	}}
	return &processRuntime{FakeRuntimeService: f, dir: dir, ip: ip, images: images,
		containers: make(map[string]*container)}
}

// RunPodSandbox makes a sandbox.
func (r *processRuntime) RunPodSandbox(ctx context.Context, c *runtimeapi.PodSandboxConfig, handler string) (string,
	error) {
	id, err := r.FakeRuntimeService.RunPodSandbox(ctx, c, handler)
	if err != nil {
		return "", err
	}
	r.Lock()
	defer r.Unlock()
	r.Sandboxes[id].Network.Ip = r.ip
	r.Called = nil // it would grow for ever
	return id, nil
}

// CreateContainer makes a container, without its process.
func (r *processRuntime) CreateContainer(ctx context.Context, sandbox string, c *runtimeapi.ContainerConfig,
	sb *runtimeapi.PodSandboxConfig) (string, error) {
	id, err := r.FakeRuntimeService.CreateContainer(ctx, sandbox, c, sb)
	if err != nil {
		return "", err
	}
	r.Lock()
	r.Called = nil
	known := r.Containers[id]
	known.Mounts = c.Mounts
	known.LogPath = filepath.Join(sb.LogDirectory, c.LogPath)
	r.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.containers[id] = &container{id: id, config: c, sandbox: sb}
	return id, nil
}

// StartContainer starts a container's process.
func (r *processRuntime) StartContainer(ctx context.Context, id string) error {
	r.mu.Lock()
	c := r.containers[id]
	r.mu.Unlock()
	if c == nil {
		return fmt.Errorf("container %s not found", id)
	}
	spec, err := r.specOf(c)
	if err != nil {
		return err
	}
	p, err := startProcess(spec, c.logPath())
	if err != nil {
		return err
	}
	r.mu.Lock()
	c.process = p
	r.mu.Unlock()
	if err := r.FakeRuntimeService.StartContainer(ctx, id); err != nil {
		return err
	}
	go r.awaitEnd(id, p)
	return nil
}

func (c *container) logPath() string { return filepath.Join(c.sandbox.LogDirectory, c.config.LogPath) }

// specOf says what the process of a container is.
func (r *processRuntime) specOf(c *container) (containerSpec, error) {
	spec := containerSpec{
		Dir: c.config.WorkingDir, Hostname: c.sandbox.Hostname,
		Overlay: filepath.Join(r.dir, "containers", fmt.Sprintf("%x", hashOf(c.id))),
		Env: []string{
			"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
			"HOSTNAME=" + c.sandbox.Hostname, "HOME=/root",
		},
	}
	found, _, ok := r.images.find(c.config.Image.GetImage())
	if !ok {
		return spec, fmt.Errorf("image %q not found", c.config.Image.GetImage())
	}
	// The program may be in a folder of which a container has its own.
	program := "/app/" + filepath.Base(found.Entrypoint[0])
	spec.Mounts = append(spec.Mounts, containerMount{found.Entrypoint[0], program, true})
	spec.Argv = slices.Clone(c.config.Command)
	if len(spec.Argv) == 0 {
		spec.Argv = append([]string{program}, found.Entrypoint[1:]...)
	}
	spec.Argv = append(spec.Argv, c.config.Args...)
	for _, m := range c.config.Mounts {
		spec.Mounts = append(spec.Mounts, containerMount{m.HostPath, m.ContainerPath, m.Readonly})
	}
	for _, e := range c.config.Envs {
		spec.Env = append(spec.Env, e.Key+"="+string(e.Value))
	}
	return spec, nil
}

// awaitEnd notes how a container has ended.
func (r *processRuntime) awaitEnd(id string, p *process) {
	<-p.ended
	r.Lock()
	defer r.Unlock()
	c := r.Containers[id]
	if c == nil {
		return
	}
	c.State, c.FinishedAt = runtimeapi.ContainerState_CONTAINER_EXITED, time.Now().UnixNano()
	c.ExitCode, c.Reason = p.exitCode, "Completed"
	if c.ExitCode != 0 {
		c.Reason = "Error"
	}
}

// StopContainer ends a container's process.
func (r *processRuntime) StopContainer(ctx context.Context, id string, timeout int64) error {
	r.mu.Lock()
	var p *process
	if c := r.containers[id]; c != nil {
		p = c.process
	}
	r.mu.Unlock()
	if p == nil {
		return r.FakeRuntimeService.StopContainer(ctx, id, timeout)
	}
	return p.stop(ctx, time.Duration(timeout)*time.Second)
}

// StopPodSandbox ends all processes of a pod.
func (r *processRuntime) StopPodSandbox(ctx context.Context, sandbox string) error {
	r.Lock()
	var ids []string
	for id, c := range maps.All(r.Containers) {
		if c.SandboxID == sandbox {
			ids = append(ids, id)
		}
	}
	r.Unlock()
	for _, id := range ids {
		if err := r.StopContainer(ctx, id, 0); err != nil {
			return err
		}
	}
	return r.FakeRuntimeService.StopPodSandbox(ctx, sandbox)
}

// RemoveContainer forgets a container.
func (r *processRuntime) RemoveContainer(ctx context.Context, id string) error {
	r.mu.Lock()
	c := r.containers[id]
	delete(r.containers, id)
	r.mu.Unlock()
	if c != nil {
		if c.process != nil {
			if err := c.process.stop(ctx, 0); err != nil {
				return err
			}
		}
		if err := os.Remove(c.logPath()); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	return r.FakeRuntimeService.RemoveContainer(ctx, id)
}
