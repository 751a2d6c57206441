// Package cluster hands jobs of a [batch.Controller] to a Kubernetes cluster.
package cluster
