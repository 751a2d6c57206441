package main

import (
	"fmt"
	"net/http"
	"time"

	"github.com/runtocompletion/batch/contrib/cron"
)

// A cronView is a CronJob as clients see it.
type cronView struct {
	cron.Status
	Explain string `json:"explain"`
}

func (a api) listCronJobs(w http.ResponseWriter, _ *http.Request) error {
	cronJobs, err := a.cronJobs()
	if err != nil {
		return err
	}
	views := []cronView{}
	for s := range cronJobs.All() {
		views = append(views, cronView{s, s.Explain()})
	}
	return writeJSON(w, http.StatusOK, views)
}

// runCronJob starts a job of a CronJob by hand.
func (a api) runCronJob(w http.ResponseWriter, r *http.Request) error {
	cronJobs, err := a.cronJobs()
	if err != nil {
		return err
	}
	name := r.PathValue("name")
	job := fmt.Sprintf("%s-by-hand-%d", name, time.Now().UnixMilli())
	if err := cronJobs.Trigger(r.Context(), name, job); err != nil {
		return err
	}
	w.Header().Set("Location", "/jobs/"+job)
	return a.writeJob(w, http.StatusCreated, job)
}
