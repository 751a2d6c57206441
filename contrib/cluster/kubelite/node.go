package main

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"time"

	cadvisorapi "github.com/google/cadvisor/lib/model"
	noopoteltrace "go.opentelemetry.io/otel/trace/noop"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientset "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	kubeletapp "k8s.io/kubernetes/cmd/kubelet/app"
	"k8s.io/kubernetes/cmd/kubelet/app/options"
	"k8s.io/kubernetes/pkg/kubelet"
	cadvisortest "k8s.io/kubernetes/pkg/kubelet/cadvisor/testing"
	"k8s.io/kubernetes/pkg/kubelet/cm"
	kubecontainer "k8s.io/kubernetes/pkg/kubelet/container"
	kubeletutil "k8s.io/kubernetes/pkg/kubelet/util"
	"k8s.io/kubernetes/pkg/util/oom"
	"k8s.io/kubernetes/pkg/volume"
	"k8s.io/kubernetes/pkg/volume/configmap"
	"k8s.io/kubernetes/pkg/volume/downwardapi"
	"k8s.io/kubernetes/pkg/volume/emptydir"
	"k8s.io/kubernetes/pkg/volume/hostpath"
	"k8s.io/kubernetes/pkg/volume/projected"
	"k8s.io/kubernetes/pkg/volume/secret"
	"k8s.io/kubernetes/pkg/volume/util/hostutil"
	"k8s.io/kubernetes/pkg/volume/util/subpath"
	"k8s.io/mount-utils"
)

// A machine is what a node says that it has. It is small: the scheduler compares shares
// of it in whole percents, and on a large one every node seems as empty as the others,
// so that all pods go to the first.
type machine struct{ cadvisortest.Fake }

var disk = cadvisorapi.FsInfo{Device: "disk", Capacity: 1 << 40, Available: 1 << 40}

// MachineInfo says 8 cores and 32 GiB.
func (machine) MachineInfo(klog.Logger) (*cadvisorapi.MachineInfo, error) {
	return &cadvisorapi.MachineInfo{NumCores: 8, MemoryCapacity: 32 << 30}, nil
}

// RootFsInfo says a large disk.
func (machine) RootFsInfo() (cadvisorapi.FsInfo, error) { return disk, nil }

// ImagesFsInfo says a large disk.
func (machine) ImagesFsInfo(context.Context) (cadvisorapi.FsInfo, error) { return disk, nil }

// ContainerFsInfo says a large disk.
func (machine) ContainerFsInfo(context.Context) (cadvisorapi.FsInfo, error) { return disk, nil }

// A node is how a kubelet is run.
type node struct {
	kubeconfig, name, dir, imagesFile string
	port, leaseSeconds                int
}

func (n *node) root() string { return filepath.Join(n.dir, "kubelet") }

// runNode runs the kubelet, for ever.
func runNode(args []string) error {
	var n node
	set := flag.NewFlagSet("node", flag.ExitOnError)
	set.StringVar(&n.kubeconfig, "kubeconfig", "", "how to reach the API server")
	set.StringVar(&n.name, "name", "127.0.0.1", "the node's name, an address of the loopback interface")
	set.StringVar(&n.dir, "dir", "", "a folder of its own")
	set.StringVar(&n.imagesFile, "images", "", "a file with the images")
	set.IntVar(&n.port, "port", 10250, "where the kubelet listens")
	set.IntVar(&n.leaseSeconds, "lease", 40, "seconds after which a node is lost that does not renew its lease")
	if err := set.Parse(args); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(n.root(), "static"), 0o755); err != nil {
		return err
	}
	if err := n.run(context.Background()); err != nil {
		return err
	}
	select {}
}

func (n *node) run(ctx context.Context) error {
	available, err := loadImages(n.imagesFile)
	if err != nil {
		return err
	}
	server, err := n.settings()
	if err != nil {
		return err
	}
	tls, err := kubeletapp.InitializeTLS(ctx, &server.KubeletFlags, &server.KubeletConfiguration)
	if err != nil {
		return err
	}
	client, heartbeat, err := n.clients()
	if err != nil {
		return err
	}
	mounter := &mount.FakeMounter{}
	return kubeletapp.RunKubelet(ctx, server, &kubelet.Dependencies{
		KubeClient:                client,
		HeartbeatClient:           heartbeat,
		EventClient:               client.CoreV1(),
		RemoteRuntimeService:      newProcessRuntime(filepath.Join(n.dir, "runtime"), n.name, available),
		RemoteImageService:        available,
		CAdvisorInterface:         &machine{},
		OSInterface:               kubecontainer.RealOS{},
		ContainerManager:          cm.NewStubContainerManager(),
		VolumePlugins:             volumePlugins(),
		TLSOptions:                tls,
		OOMAdjuster:               oom.NewFakeOOMAdjuster(),
		Mounter:                   mounter,
		HostUtil:                  hostutil.NewHostUtil(),
		Subpather:                 subpath.New(mounter),
		PodStartupLatencyTracker:  kubeletutil.NewPodStartupLatencyTracker(),
		NodeStartupLatencyTracker: kubeletutil.NewNodeStartupLatencyTracker(klog.Background()),
		TracerProvider:            noopoteltrace.NewTracerProvider(),
	})
}

func (n *node) settings() (*options.KubeletServer, error) {
	f := options.NewKubeletFlags()
	f.RootDirectory = n.root()
	f.CertDirectory = filepath.Join(n.root(), "pki")
	f.HostnameOverride = n.name
	f.MinimumGCAge = metav1.Duration{Duration: time.Second}
	f.MaxContainerCount = -1
	f.MaxPerPodContainerCount = 2
	c, err := options.NewKubeletConfiguration()
	if err != nil {
		return nil, err
	}
	c.StaticPodPath = filepath.Join(n.root(), "static")
	c.PodLogsDir = filepath.Join(n.root(), "pod-logs")
	c.Address, c.Port, c.EnableServer = n.name, int32(n.port), true
	c.ReadOnlyPort, c.HealthzPort = 0, 0
	c.MaxPods = 500
	c.NodeLeaseDurationSeconds = int32(n.leaseSeconds)
	c.CgroupsPerQOS, c.EnforceNodeAllocatable = false, nil
	c.EnableControllerAttachDetach = false
	c.RegisterNode = true
	c.SerializeImagePulls = false
	c.EvictionHard = nil
	c.ResolverConfig = ""
	c.Authentication.Anonymous.Enabled = true
	c.Authentication.Webhook.Enabled = false
	return &options.KubeletServer{KubeletFlags: *f, KubeletConfiguration: *c}, nil
}

func (n *node) clients() (client, heartbeat *clientset.Clientset, err error) {
	config, err := clientcmd.BuildConfigFromFlags("", n.kubeconfig)
	if err != nil {
		return nil, nil, err
	}
	config.QPS, config.Burst = 500, 1000
	config.UserAgent = "kubelet"
	config.ContentType = "application/vnd.kubernetes.protobuf"
	if client, err = clientset.NewForConfig(config); err != nil {
		return nil, nil, err
	}
	unhurried := rest.CopyConfig(config)
	unhurried.QPS = -1
	unhurried.Timeout = 10 * time.Second
	heartbeat, err = clientset.NewForConfig(unhurried)
	return client, heartbeat, err
}

func volumePlugins() []volume.VolumePlugin {
	var plugins []volume.VolumePlugin
	plugins = append(plugins, emptydir.ProbeVolumePlugins()...)
	plugins = append(plugins, secret.ProbeVolumePlugins()...)
	plugins = append(plugins, configmap.ProbeVolumePlugins()...)
	plugins = append(plugins, projected.ProbeVolumePlugins()...)
	plugins = append(plugins, downwardapi.ProbeVolumePlugins()...)
	return append(plugins, hostpath.ProbeVolumePlugins(volume.VolumeConfig{})...)
}
