// Command kubelite is a whole Kubernetes in one program, for tests on one machine:
// etcd, kube-apiserver, kube-controller-manager, kube-scheduler and the kubelet. It
// needs Linux and root. Containers are processes with namespaces of their own, and an
// image is a program of this machine.
//
//	kubelite up [flags]      a cluster, until its standard input ends
//	kubelite PART [flags]    one part of it
//
// Package kubelitetest builds it and starts it for tests.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	kcm "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

func main() {
	if len(os.Args) < 2 {
		fail(fmt.Errorf("usage: kubelite up|%s|%s|%s|%s|node [flags]", etcd, apiServer, controllerManager,
			schedulerName))
	}
	name := os.Args[1]
	os.Args = os.Args[1:]
	switch name {
	case "up":
		fail(up(os.Args[1:]))
	case etcd:
		etcdmain.Main(os.Args)
	case apiServer:
		runCommand(apiserver.NewAPIServerCommand())
	case controllerManager:
		runCommand(kcm.NewControllerManagerCommand())
	case schedulerName:
		runCommand(scheduler.NewSchedulerCommand())
	case "node":
		fail(runNode(os.Args[1:]))
	case "container":
		fail(becomeContainer())
	default:
		fail(fmt.Errorf("unknown part %q", name))
	}
}

func runCommand(c *cobra.Command) { os.Exit(cli.Run(c)) }

// fail ends the process, with the exit code of a container that cannot start.
func fail(err error) {
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "kubelite:", err)
	os.Exit(exitCannotStart)
}

const exitCannotStart = 127
