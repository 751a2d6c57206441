package cluster

import (
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// A known is a set of pods of which all is known. What is said of a pod in it is old news.
type known struct {
	mu       sync.Mutex           // guards the fields below
	jobs     map[types.UID]string // the UIDs of the jobs to which the ends of pods were reported
	released map[types.UID]bool   // pods whose finalizer was removed
}

func newKnown() *known {
	return &known{jobs: make(map[types.UID]string), released: make(map[types.UID]bool)}
}

func (k *known) has(pod *corev1.Pod, jobUID string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.jobs[pod.UID] == jobUID
}

// hasAny reports whether a pod was reported as that of any job.
func (k *known) hasAny(uid types.UID) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, ok := k.jobs[uid]
	return ok
}

func (k *known) add(pods []*corev1.Pod, jobUID string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, pod := range pods {
		k.jobs[pod.UID] = jobUID
	}
}

func (k *known) release(uid types.UID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.released[uid] = true
}

func (k *known) isReleased(uid types.UID) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.released[uid]
}

// drop forgets a pod that is gone.
func (k *known) drop(uid types.UID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.jobs, uid)
	delete(k.released, uid)
}
