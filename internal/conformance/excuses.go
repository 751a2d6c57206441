package conformance

import (
	"regexp"
	"slices"
	"strings"
)

// An Excuse says why the library may answer a case otherwise than Kubernetes.
type Excuse struct {
	// Reason says why, for the reader.
	Reason string
	// Fields are the paths that may differ, with [] in place of what is in
	// brackets, such as "pods[].end". Empty means that all may.
	Fields []string
	// May is set if it is not expected that the case differs, but allowed.
	// Otherwise a case that agrees in spite of its excuse is worth a note.
	May bool
}

const (
	sizeCap    = "size caps apply to imported manifests only"
	noTemplate = "the library has no pod template"
	noSelector = "the library has no selectors"
	wholeTimes = "the library does not cut times to seconds"
)

// Excuses has the excused cases by name.
var Excuses = map[string]Excuse{
	"fraction-backoff": {Reason: wholeTimes, May: true, Fields: []string{
		"finishedAt", "completionTime", "conditions[].at", "pods[].created", "pods[].end"}},
	"fraction-success": {Reason: wholeTimes, May: true, Fields: []string{
		"completionTime", "conditions[].at"}},

	"update-template": {Reason: noTemplate, May: true, Fields: []string{"actions[].accepted", "actions[].errors"}},

	"restart-unset": {Reason: "Job.RestartPolicy has a default"},
	"mode-empty":    {Reason: "the zero value of Job.CompletionMode is its default"},

	"template-no-containers":        {Reason: noTemplate},
	"template-container-no-image":   {Reason: noTemplate},
	"template-duplicate-containers": {Reason: noTemplate},
	"selector-manual-mismatch":      {Reason: noSelector},
	"selector-manual-missing":       {Reason: noSelector},
	"selector-not-manual":           {Reason: noSelector},

	"indexed-parallelism-above-limit": {Reason: sizeCap},
	"max-failed-required":             {Reason: sizeCap},
	"max-failed-large-too-many":       {Reason: sizeCap},
	"max-failed-large-parallelism":    {Reason: sizeCap},
	"policy-21-rules":                 {Reason: sizeCap},
	"policy-256-values":               {Reason: sizeCap},
	"policy-21-conditions":            {Reason: sizeCap},
	"success-21-rules":                {Reason: sizeCap},
	"managed-by-too-long":             {Reason: sizeCap},
}

var bracketed = regexp.MustCompile(`\[[^]]*\]`)

// Unexcused returns those of the differences of a case that have no excuse.
func Unexcused(name string, differences []string) []string {
	excuse, ok := Excuses[name]
	if !ok {
		return differences
	}
	if len(excuse.Fields) == 0 {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(differences), func(difference string) bool {
		path, _, _ := strings.Cut(difference, ": ")
		return slices.Contains(excuse.Fields, bracketed.ReplaceAllString(path, "[]"))
	})
}
