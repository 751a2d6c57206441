package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

type clusterOptions struct {
	parent              string
	nodes               int
	images              string
	nodeGrace, eviction time.Duration
	keep                bool
}

// A cluster is one that runs on addresses of its own of the loopback interface.
type cluster struct {
	clusterOptions
	dir      string
	network  string       // the first three bytes of its addresses
	reserved net.Listener // has the network be of no other cluster
	parts    []*part      // in the order of their start
	client   kubernetes.Interface
}

func newCluster(o clusterOptions) (*cluster, error) {
	c := &cluster{clusterOptions: o}
	var err error
	if c.dir, err = os.MkdirTemp(o.parent, "kubelite-"); err != nil {
		return nil, err
	}
	if err := c.prepare(); err != nil {
		return nil, errors.Join(err, c.remove())
	}
	return c, nil
}

func (c *cluster) prepare() error {
	if err := c.reserve(); err != nil {
		return err
	}
	if err := writeKeys(c.dir, c.address(addressOfAPI)); err != nil {
		return err
	}
	if err := os.WriteFile(c.path(imagesFile), []byte(c.images), 0o600); err != nil {
		return err
	}
	if err := os.Mkdir(c.path("logs"), 0o700); err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", c.path(kubeconfigFile))
	if err != nil {
		return err
	}
	config.Timeout = 10 * time.Second
	if c.client, err = kubernetes.NewForConfig(config); err != nil {
		return err
	}
	c.addControlPlane()
	for i := range c.nodes {
		c.addNode(i)
	}
	return nil
}

// The last bytes of addresses. The first one of the services' range is that of the API
// server, so that pods reach it without a pod network.
const (
	addressOfAPI       = 1
	addressOfEtcd      = 65
	addressOfManager   = 66
	addressOfScheduler = 67
	addressOfFirstNode = 128
	mostNodes          = 100
	addressReserved    = 254
)

func (c *cluster) address(last int) string { return fmt.Sprintf("%s.%d", c.network, last) }

// reserve finds a network that no other cluster of this machine has.
func (c *cluster) reserve() error {
	if c.nodes < 0 || c.nodes > mostNodes {
		return fmt.Errorf("nodes: %d: must be between 0 and %d", c.nodes, mostNodes)
	}
	for {
		var b [2]byte
		if _, err := rand.Read(b[:]); err != nil {
			return err
		}
		c.network = fmt.Sprintf("127.%d.%d", b[0]|1, b[1])
		l, err := net.Listen("tcp", c.address(addressReserved)+":1")
		if err == nil {
			c.reserved = l
			return nil
		}
		if !strings.Contains(err.Error(), "address already in use") {
			return err
		}
	}
}

func (c *cluster) add(name string, args ...string) *part {
	p := &part{name: name, args: args, log: filepath.Join(c.dir, "logs", name+".log")}
	c.parts = append(c.parts, p)
	return p
}

func (c *cluster) addControlPlane() {
	client := fmt.Sprintf("http://%s:2379", c.address(addressOfEtcd))
	peer := fmt.Sprintf("http://%s:2380", c.address(addressOfEtcd))
	c.add(etcd, "--data-dir", c.path(etcd), "--unsafe-no-fsync", "--log-level", "error",
		"--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer)
	seconds := fmt.Sprint(int(c.eviction.Seconds()))
	c.add(apiServer, "--etcd-servers", client, "--endpoint-reconciler-type", "none",
		"--bind-address", c.address(addressOfAPI), "--advertise-address", c.address(addressOfAPI), "--secure-port", "443",
		"--tls-cert-file", c.path(servingFile), "--tls-private-key-file", c.path(servingKey), "--cert-dir", c.path("certs"),
		"--service-cluster-ip-range", c.address(0)+"/26", "--service-account-issuer", "https://kubernetes.default.svc",
		"--service-account-key-file", c.path(accountPublic), "--service-account-signing-key-file", c.path(accountKey),
		"--token-auth-file", c.path(tokensFile), "--authorization-mode", "Node,RBAC",
		"--default-not-ready-toleration-seconds", seconds, "--default-unreachable-toleration-seconds", seconds,
		"--max-requests-inflight", "1000", "--max-mutating-requests-inflight", "500", "--enable-priority-and-fairness=false")
	c.add(controllerManager, "--kubeconfig", c.path(kubeconfigFile), "--leader-elect=false",
		"--bind-address", c.address(addressOfManager), "--cert-dir", c.path("certs"),
		"--controllers", strings.Join(controllers, ","),
		"--root-ca-file", c.path(authorityFile), "--service-account-private-key-file", c.path(accountKey),
		"--node-monitor-period", (c.nodeGrace / 10).String(), "--node-monitor-grace-period", c.nodeGrace.String(),
		"--kube-api-qps", "500", "--kube-api-burst", "1000")
	c.add(schedulerName, "--kubeconfig", c.path(kubeconfigFile), "--leader-elect=false",
		"--bind-address", c.address(addressOfScheduler), "--cert-dir", c.path("certs"),
		"--kube-api-qps", "500", "--kube-api-burst", "1000")
}

var controllers = []string{
	"job-controller", "cronjob-controller", "ttl-after-finished-controller", "garbage-collector-controller",
	"serviceaccount-controller", "namespace-controller", "pod-garbage-collector-controller", "node-lifecycle-controller",
	"taint-eviction-controller", "root-ca-certificate-publisher-controller",
}

func (c *cluster) addNode(i int) {
	address := c.address(addressOfFirstNode + i)
	name := fmt.Sprintf("node%d", i+1)
	p := c.add(name, "-kubeconfig", c.path(kubeconfigFile), "-name", address, "-dir", c.path(name),
		"-images", c.path(imagesFile), "-lease", fmt.Sprint(max(int(c.nodeGrace.Seconds()), 1)))
	p.node = address
}

func (c *cluster) nodeNames() map[string]string {
	names := make(map[string]string)
	for _, p := range c.parts {
		if p.node != "" {
			names[p.name] = p.node
		}
	}
	return names
}

func (c *cluster) find(name string) *part {
	for _, p := range c.parts {
		if p.name == name {
			return p
		}
	}
	return nil
}

// start starts all parts, and waits until pods can run on every node.
func (c *cluster) start(ctx context.Context) error {
	for _, p := range c.parts {
		if err := p.start(); err != nil {
			return err
		}
		if p.name == apiServer {
			if err := c.await(ctx, p, c.serves); err != nil {
				return err
			}
		}
	}
	if err := c.await(ctx, c.find(controllerManager), c.hasServiceAccount); err != nil {
		return err
	}
	for _, p := range c.parts {
		if p.node != "" {
			ready := func(ctx context.Context) error { return c.nodeReady(ctx, p.node) }
			if err := c.await(ctx, p, ready); err != nil {
				return err
			}
		}
	}
	return nil
}

// await waits until a check of a part succeeds.
func (c *cluster) await(ctx context.Context, p *part, check func(context.Context) error) error {
	const patience, pause = 3 * time.Minute, 20 * time.Millisecond
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w; its log ends in: %s", p.name, err, p.lastLines())
		case <-p.exited:
			return fmt.Errorf("%s has ended: %s", p.name, p.lastLines())
		case <-time.After(pause):
		}
	}
}

func (c *cluster) serves(ctx context.Context) error {
	_, err := c.client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
	return err
}

func (c *cluster) hasServiceAccount(ctx context.Context) error {
	_, err := c.client.CoreV1().ServiceAccounts("default").Get(ctx, "default", metav1.GetOptions{})
	return err
}

func (c *cluster) nodeReady(ctx context.Context, name string) error {
	n, err := c.client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if len(n.Spec.Taints) > 0 {
		return fmt.Errorf("node %s has the taint %s", name, n.Spec.Taints[0].Key)
	}
	for _, condition := range n.Status.Conditions {
		if condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue {
			return nil
		}
	}
	return fmt.Errorf("node %s is not ready", name)
}

// remove ends all parts, the nodes first, and removes the folder.
func (c *cluster) remove() error {
	var errs []error
	for i := len(c.parts) - 1; i >= 0; i-- {
		if p := c.parts[i]; p.cmd != nil {
			errs = append(errs, p.kill())
		}
	}
	if c.reserved != nil {
		errs = append(errs, c.reserved.Close())
	}
	if !c.keep {
		errs = append(errs, os.RemoveAll(c.dir))
	}
	return errors.Join(errs...)
}
