package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"

	batchv1 "k8s.io/api/batch/v1"

	"github.com/runtocompletion/batch"
)

// What was handed on is remembered in the controller's store: so a job that is deleted
// while nobody watches is deleted in the cluster as well.

// A handedOn is a job that has a Job in the cluster.
type handedOn struct{ Name, Namespace, UID, Hash string }

// owns reports whether a Job is that of the job. Another one of its name belongs to
// somebody else.
func (h *handedOn) owns(found *batchv1.Job) bool {
	return h != nil && found != nil && found.Annotations[hashKey] == h.Hash
}

const recordPrefix = "cluster/"

// prefixOf begins the keys of the records of one name, which may be too long for a key:
// what is remembered of others is not read then.
func prefixOf(name string) string {
	h := fnv.New64a()
	h.Write([]byte(name))
	return fmt.Sprintf("%s%016x/", recordPrefix, h.Sum64())
}

// handedOn returns what was handed on to the cluster, of the records with that prefix.
func (d *driver) handedOn(prefix string) (list []handedOn, err error) {
	for key, data := range d.controller.Records(prefix) {
		var h handedOn
		if err := json.Unmarshal(data, &h); err != nil {
			return nil, fmt.Errorf("cluster: record %q: %w", key, err)
		}
		if h.Namespace == d.o.Namespace {
			list = append(list, h)
		}
	}
	return list, nil
}

// handedOnAs is what is remembered of a job, nil if it was not handed on, and of one of
// its name that is gone.
func (d *driver) handedOnAs(name, uid string) (now, left *handedOn, err error) {
	list, err := d.handedOn(prefixOf(name))
	for _, h := range list {
		switch {
		case h.Name != name:
		case h.UID == uid:
			now = &h
		default:
			left = &h
		}
	}
	return now, left, err
}

// remember notes that a job is handed on, before it is.
func (d *driver) remember(ctx context.Context, s *batch.Status, hash string) error {
	h := handedOn{s.Name, d.o.Namespace, s.UID, hash}
	if now, _, err := d.handedOnAs(s.Name, s.UID); err != nil || now != nil && *now == h {
		return err
	}
	data, err := json.Marshal(h)
	if err != nil {
		return err
	}
	return d.controller.SaveRecord(ctx, prefixOf(s.Name)+s.UID, data)
}

// removeLeft removes the Job of a job that is gone, and then what is remembered of it.
func (d *driver) removeLeft(ctx context.Context, h *handedOn) error {
	found, err := d.find(h.Name)
	if err != nil {
		return err
	}
	pods := d.podsOf(h, found)
	if h.owns(found) {
		if err := d.deleteJob(ctx, found); err != nil {
			return err
		}
	}
	if err := d.releaseAll(ctx, pods); err != nil {
		return err
	}
	if h.owns(found) {
		return nil // its deletion will be seen
	}
	if err := d.controller.SaveRecord(ctx, prefixOf(h.Name)+h.UID, nil); err != nil {
		return err
	}
	d.queue.Add(h.Name) // there may be a new job of that name
	return nil
}
