package cluster

import (
	"context"
	"encoding/base64"
	"fmt"
	"strconv"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/runtocompletion/batch"
)

// Checkpoints are kept in a ConfigMap for each index, which belongs to the Job and goes
// with it. An attempt that saves one replaces what it has read: if another attempt has
// saved since, the resource version is another one, and nothing is written.

// checkpoints are those of one index, in its pod.
type checkpoints struct {
	maps typedcorev1.ConfigMapInterface

	mu      sync.Mutex // guards the fields below; held while the API server is asked
	current *corev1.ConfigMap
	exists  bool
}

// openCheckpoints reads what attempts before this one have saved.
func openCheckpoints(ctx context.Context, namespace, job, jobUID string, index int) (*checkpoints, error) {
	config, err := rest.InClusterConfig()
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return readCheckpoints(ctx, client.CoreV1().ConfigMaps(namespace), job, jobUID, index)
}

func readCheckpoints(ctx context.Context, maps typedcorev1.ConfigMapInterface, job, jobUID string, index int) (
	*checkpoints, error) {
	name := job + "-checkpoint"
	if index >= 0 {
		name += "-" + strconv.Itoa(index)
	}
	c := &checkpoints{maps: maps}
	found, err := maps.Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		c.current = &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name,
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "batch/v1", Kind: "Job", Name: job, UID: types.UID(jobUID)}}}}
		return c, nil
	case err != nil:
		return nil, fmt.Errorf("cluster: checkpoint: %w", err)
	}
	for _, owner := range found.OwnerReferences {
		if string(owner.UID) == jobUID {
			c.current, c.exists = found, true
			return c, nil
		}
	}
	return nil, fmt.Errorf("cluster: checkpoint: ConfigMap %s is not one of this Job", name)
}

// key is how a name of a checkpoint is a key of a ConfigMap.
func key(name string) string { return "c" + base64.RawURLEncoding.EncodeToString([]byte(name)) }

func (c *checkpoints) load(name string) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current.BinaryData[key(name)]
}

// save replaces a checkpoint. If another attempt has saved one meanwhile, this one has
// been replaced, and is to end.
func (c *checkpoints) save(ctx context.Context, name string, data []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	next := c.current.DeepCopy()
	if next.BinaryData == nil {
		next.BinaryData = make(map[string][]byte)
	}
	next.BinaryData[key(name)] = data
	var err error
	if c.exists {
		next, err = c.maps.Update(ctx, next, metav1.UpdateOptions{})
	} else {
		next, err = c.maps.Create(ctx, next, metav1.CreateOptions{})
	}
	switch {
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err), apierrors.IsNotFound(err):
		return fmt.Errorf("%w: another attempt has saved a checkpoint: %w", batch.ErrAttemptEnded, err)
	case err != nil:
		return fmt.Errorf("cluster: checkpoint: %w", err)
	}
	c.current, c.exists = next, true
	return nil
}
