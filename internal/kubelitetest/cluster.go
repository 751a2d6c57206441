package kubelitetest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"github.com/runtocompletion/batch/internal/effort"
)

// Options say what a cluster has. The zero value is a cluster of one node.
type Options struct {
	// Nodes is how many nodes there are. Zero means 1; a negative value none: then pods
	// stay Pending unless the test plays their kubelet.
	Nodes int
	// Images are the commands of images, by name: a program of this machine and its
	// first arguments.
	Images map[string][]string
	// NodeGrace is how long a node may be silent before it is lost, and then its pods are
	// deleted after Eviction. Zero means Kubernetes' 50 seconds and 5 minutes.
	NodeGrace, Eviction time.Duration
	// Keep keeps the folder of the cluster, with the logs of its parts.
	Keep bool
}

// The parts of a cluster that can be killed and started again. The nodes are "node1",
// "node2", and so on.
const (
	Etcd              = "etcd"
	APIServer         = "kube-apiserver"
	ControllerManager = "kube-controller-manager"
	Scheduler         = "kube-scheduler"
)

// A Cluster is a Kubernetes of its own. It ends with this process, however that ends.
// Its methods are for one goroutine at a time.
type Cluster struct {
	// Kubeconfig is a file with which an administrator reaches the API server.
	Kubeconfig string
	// Dir is the folder of the cluster. It has the logs of the parts.
	Dir string
	// Nodes are the names of the nodes, by part.
	Nodes map[string]string

	cmd      *exec.Cmd
	commands io.WriteCloser
	answers  *json.Decoder
	errors   bytes.Buffer // what the program said besides; not read before it has ended
}

type answer struct {
	Kubeconfig, Dir, Error string
	Nodes                  map[string]string
}

// Unavailable is why this machine cannot run a cluster; nil if it can.
func Unavailable() error {
	if runtime.GOOS != "linux" || os.Getuid() != 0 {
		return errors.New("a cluster needs Linux and root, for mounts and namespaces")
	}
	_, err := Binary()
	return err
}

// Require skips a test, and says why, on a machine that cannot run a cluster. In CI it
// fails instead.
func Require(t testing.TB) {
	t.Helper()
	effort.Need(t, Unavailable())
}

// Start starts a cluster that ends with the test.
func Start(t testing.TB, o Options) *Cluster {
	t.Helper()
	Require(t)
	c, err := Run(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// Run starts a cluster, and returns when pods can run on all of its nodes.
func Run(o Options) (*Cluster, error) {
	program, err := Binary()
	if err != nil {
		return nil, err
	}
	c := new(Cluster)
	args, err := o.args()
	if err != nil {
		return nil, err
	}
	c.cmd = exec.Command(program, args...)
	c.cmd.Stderr = &c.errors
	if c.commands, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	c.answers = json.NewDecoder(bufio.NewReader(out))
	first, err := c.answer()
	if err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	c.Kubeconfig, c.Dir, c.Nodes = first.Kubeconfig, first.Dir, first.Nodes
	return c, nil
}

func (o Options) args() ([]string, error) {
	nodes := max(o.Nodes, 0)
	if o.Nodes == 0 {
		nodes = 1
	}
	images, err := json.Marshal(o.Images)
	if err != nil {
		return nil, err
	}
	args := []string{"up", fmt.Sprint("-nodes=", nodes)}
	if o.Images != nil {
		args = append(args, "-images="+string(images))
	}
	if o.NodeGrace > 0 {
		args = append(args, fmt.Sprint("-node-grace=", o.NodeGrace), fmt.Sprint("-eviction=", o.Eviction))
	}
	if o.Keep {
		args = append(args, "-keep")
	}
	return args, nil
}

// Kill ends a part as a crash does. The containers of a node end with it.
func (c *Cluster) Kill(part string) error { return c.command("kill", part) }

// Start starts a part that was killed, and returns when it serves.
func (c *Cluster) Start(part string) error { return c.command("start", part) }

func (c *Cluster) command(verb, part string) error {
	if _, err := fmt.Fprintln(c.commands, verb, part); err != nil {
		return err
	}
	_, err := c.answer()
	return err
}

func (c *Cluster) answer() (answer, error) {
	var a answer
	if err := c.answers.Decode(&a); err != nil {
		return a, fmt.Errorf("kubelite has no answer: %w", err)
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}

// Stop ends all parts, and removes the folder.
func (c *Cluster) Stop() error {
	err := c.commands.Close()
	if ended := c.cmd.Wait(); ended != nil {
		err = errors.Join(err, fmt.Errorf("kubelite: %w: %s", ended, c.errors.Bytes()))
	}
	return err
}
