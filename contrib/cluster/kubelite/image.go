package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// images are what containers can be made of: a name stands for a program of this
// machine and its first arguments. Its digest is that of both.
type images struct{ byName map[string]image }

type image struct {
	Entrypoint []string
	Ref        string // the name without a tag, and the digest
}

// loadImages reads a file of JSON: a command for each name.
func loadImages(path string) (*images, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var commands map[string][]string
	if err := json.Unmarshal(data, &commands); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	loaded := &images{byName: make(map[string]image)}
	for name, command := range commands {
		digest, err := digestOf(command)
		if err != nil {
			return nil, fmt.Errorf("image %s: %w", name, err)
		}
		repository, _, _ := strings.Cut(name, ":")
		loaded.byName[name] = image{Entrypoint: command, Ref: repository + "@" + digest}
	}
	return loaded, nil
}

func digestOf(command []string) (string, error) {
	file, err := os.Open(command[0])
	if err != nil {
		return "", err
	}
	defer file.Close()
	h := sha256.New()
	if _, err := io.Copy(h, file); err != nil {
		return "", err
	}
	fmt.Fprintf(h, "%q", command[1:])
	return fmt.Sprintf("sha256:%x", h.Sum(nil)), nil
}

// find finds an image by its name or its digest.
func (i *images) find(name string) (image, string, bool) {
	if found, ok := i.byName[name]; ok {
		return found, name, true
	}
	for tagged, found := range i.byName {
		if found.Ref == name {
			return found, tagged, true
		}
	}
	return image{}, "", false
}

func (i *images) describe(name string, found image) *runtimeapi.Image {
	return &runtimeapi.Image{Id: found.Ref, RepoTags: []string{name}, RepoDigests: []string{found.Ref}, Size: 1}
}

// ListImages lists all images.
func (i *images) ListImages(context.Context, *runtimeapi.ImageFilter) ([]*runtimeapi.Image, error) {
	var list []*runtimeapi.Image
	for name, found := range i.byName {
		list = append(list, i.describe(name, found))
	}
	return list, nil
}

// ImageStatus describes an image, or nothing.
func (i *images) ImageStatus(_ context.Context, spec *runtimeapi.ImageSpec, _ bool) (*runtimeapi.ImageStatusResponse,
	error) {
	found, name, ok := i.find(spec.Image)
	if !ok {
		return &runtimeapi.ImageStatusResponse{}, nil
	}
	return &runtimeapi.ImageStatusResponse{Image: i.describe(name, found)}, nil
}

// PullImage finds an image that is there; there is no other place to look.
func (i *images) PullImage(_ context.Context, spec *runtimeapi.ImageSpec, _ *runtimeapi.AuthConfig,
	_ *runtimeapi.PodSandboxConfig) (string, error) {
	found, _, ok := i.find(spec.Image)
	if !ok {
		return "", fmt.Errorf("image %q not found", spec.Image)
	}
	return found.Ref, nil
}

// RemoveImage does nothing: programs belong to the machine.
func (i *images) RemoveImage(context.Context, *runtimeapi.ImageSpec) error { return nil }

// ImageFsInfo says nothing.
func (i *images) ImageFsInfo(context.Context) (*runtimeapi.ImageFsInfoResponse, error) {
	return &runtimeapi.ImageFsInfoResponse{}, nil
}

// Close does nothing.
func (i *images) Close(context.Context) error { return nil }
