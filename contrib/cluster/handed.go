package cluster

import (
	"context"
	"encoding/json"

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

func (d *driver) handedOn() (list []handedOn) {
	for _, data := range d.controller.Records(recordPrefix) {
		var h handedOn
		if json.Unmarshal(data, &h) == nil && h.Namespace == d.o.Namespace {
			list = append(list, h)
		}
	}
	return list
}

// handedOnAs is what is remembered of a job, nil if it was not handed on, and of one of
// its name that is gone.
func (d *driver) handedOnAs(name, uid string) (now, left *handedOn) {
	for _, h := range d.handedOn() {
		switch {
		case h.Name != name:
		case h.UID == uid:
			now = &h
		default:
			left = &h
		}
	}
	return now, left
}

// remember notes that a job is handed on, before it is.
func (d *driver) remember(ctx context.Context, s *batch.Status, hash string) error {
	h := handedOn{s.Name, d.o.Namespace, s.UID, hash}
	if now, _ := d.handedOnAs(s.Name, s.UID); now != nil && *now == h {
		return nil
	}
	data, err := json.Marshal(h)
	if err != nil {
		return err
	}
	return d.controller.SaveRecord(ctx, recordPrefix+s.UID, data)
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
	if err := d.controller.SaveRecord(ctx, recordPrefix+h.UID, nil); err != nil {
		return err
	}
	d.queue.Add(h.Name) // there may be a new job of that name
	return nil
}
