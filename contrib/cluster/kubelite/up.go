package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// up runs a cluster until standard input ends, and leaves nothing behind. It writes an
// answer, a line of JSON, once the cluster is ready, and one for each line that it
// reads: "kill PART", which ends a part as a crash does, or "start PART".
//
// Its parts end with it, and containers end with their node.
func up(args []string) error {
	// The kernel ends a child when the thread that has made it ends.
	runtime.LockOSThread()
	var o clusterOptions
	set := flag.NewFlagSet("up", flag.ExitOnError)
	set.StringVar(&o.parent, "dir", os.TempDir(), "where to make a folder for the cluster")
	set.IntVar(&o.nodes, "nodes", 1, "how many nodes there are")
	set.StringVar(&o.images, "images", "{}", "JSON: the command of each image")
	set.DurationVar(&o.nodeGrace, "node-grace", 50*time.Second, "after which a silent node is lost")
	set.DurationVar(&o.eviction, "eviction", 5*time.Minute, "after which the pods of a lost node are deleted")
	set.BoolVar(&o.keep, "keep", false, "keep the folder, with the logs")
	if err := set.Parse(args); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	c, err := newCluster(o)
	if err != nil {
		return err
	}
	answers := json.NewEncoder(os.Stdout)
	err = c.serve(ctx, os.Stdin, answers)
	return errors.Join(err, c.remove())
}

// An answer is a line that a cluster writes.
type answer struct {
	Kubeconfig string            `json:",omitempty"` // of an administrator
	Dir        string            `json:",omitempty"` // with the logs
	Nodes      map[string]string `json:",omitempty"` // the name of each part that is a node
	Error      string            `json:",omitempty"`
}

func (c *cluster) serve(ctx context.Context, commands io.Reader, answers *json.Encoder) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	lines := make(chan string)
	go func() { // it may outlast this call, and ends with the process
		defer cancel()
		for s := bufio.NewScanner(commands); s.Scan(); {
			lines <- s.Text()
		}
	}()
	first := answer{Kubeconfig: c.path(kubeconfigFile), Dir: c.dir, Nodes: c.nodeNames()}
	if err := c.start(ctx); err != nil {
		return errors.Join(answers.Encode(answer{Error: err.Error()}), err)
	}
	if err := answers.Encode(first); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case line := <-lines:
			var a answer
			if err := c.obey(ctx, line); err != nil {
				a.Error = err.Error()
			}
			if err := answers.Encode(a); err != nil {
				return err
			}
		}
	}
}

func (c *cluster) obey(ctx context.Context, line string) error {
	verb, name, _ := strings.Cut(line, " ")
	p := c.find(name)
	if p == nil {
		return fmt.Errorf("%q: no part of that name", line)
	}
	switch verb {
	case "kill":
		return p.kill()
	case "start":
		if err := p.start(); err != nil {
			return err
		}
		return c.awaitPart(ctx, p)
	}
	return fmt.Errorf("%q: neither kill nor start", line)
}

// awaitPart waits until a part that was started serves.
func (c *cluster) awaitPart(ctx context.Context, p *part) error {
	switch {
	case p.name == etcd || p.name == apiServer:
		return c.await(ctx, p, c.serves)
	case p.node != "":
		return c.await(ctx, p, func(ctx context.Context) error { return c.nodeReady(ctx, p.node) })
	}
	return nil
}

// path is a file of the cluster's folder.
func (c *cluster) path(name string) string { return filepath.Join(c.dir, name) }
