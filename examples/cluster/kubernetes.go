package main

import (
	"context"
	"os"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/cluster"
	"github.com/runtocompletion/batch/internal/kubelitetest"
)

// startCluster starts a Kubernetes of two nodes whose pods can run this program, and hands
// jobs of the controller on to it. A service that has a cluster needs cluster.Run only.
func startCluster(ctx context.Context, c *batch.Controller, from, to string) (stop func() error, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if err := kubelitetest.Unavailable(); err != nil {
		return nil, err
	}
	k, err := kubelitetest.Run(kubelitetest.Options{Nodes: 2, Images: map[string][]string{"backup:v1": {self}}})
	if err != nil {
		return nil, err
	}
	config, err := clientcmd.BuildConfigFromFlags("", k.Kubeconfig)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() {
		done <- cluster.Run(ctx, c, cluster.Options{Config: config, Image: "backup:v1", Template: template(from, to)})
	}()
	return func() error {
		cancel()
		<-done // the end of its context
		return k.Stop()
	}, nil
}

// template lets pods see both folders, which are on every node.
func template(folders ...string) (t corev1.PodTemplateSpec) {
	names := []string{"from", "to"}
	main := corev1.Container{Name: "main"}
	for i, folder := range folders {
		t.Spec.Volumes = append(t.Spec.Volumes, corev1.Volume{Name: names[i],
			VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: folder}}})
		main.VolumeMounts = append(main.VolumeMounts, corev1.VolumeMount{Name: names[i], MountPath: folder})
	}
	t.Spec.Containers = []corev1.Container{main}
	return t
}
