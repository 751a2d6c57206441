package batch_test

import (
	"go/parser"
	"go/token"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

// The tests of this file compare the package documentation with the package.

// packageDoc returns the package documentation, or one section of it.
func packageDoc(t *testing.T, heading string) string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "job.go", nil, parser.ParseComments)
	require.NoError(t, err)
	if heading == "" {
		return file.Doc.Text()
	}
	_, rest, ok := strings.Cut(file.Doc.Text(), "\n# "+heading+"\n")
	require.True(t, ok, "no section %q", heading)
	text, _, _ := strings.Cut(rest, "\n# ")
	return text
}

var docLink = regexp.MustCompile(`\[([A-Z][\w.]*)\]`)

// docLinks returns the names between brackets.
func docLinks(text string) []string {
	var list []string
	for _, match := range docLink.FindAllStringSubmatch(text, -1) {
		list = append(list, match[1])
	}
	return list
}

func TestDocLinks(t *testing.T) {
	known := exported(t)
	for field := range reflect.TypeFor[batch.Job]().Fields() {
		known["Job."+field.Name] = true
	}
	links := docLinks(packageDoc(t, ""))
	require.NotEmpty(t, links)
	for _, name := range links {
		require.True(t, known[name], "there is no %s", name)
	}
}

// TestDocErrors wants every error of the package to be explained: variables named
// Err, and types that are errors.
func TestDocErrors(t *testing.T) {
	errorName := regexp.MustCompile(`^(Err[A-Z]\w*|[A-Z]\w*Error)$`)
	explained := docLinks(packageDoc(t, "Errors"))
	found := 0
	for name := range exported(t) {
		if errorName.MatchString(name) {
			found++
			require.Contains(t, explained, name)
		}
	}
	require.NotZero(t, found)
}

// TestDocFields compares the table of fields with the fields there are, and with
// the fields of the specification of Kubernetes' Job.
func TestDocFields(t *testing.T) {
	var fields []string
	for _, s := range []reflect.Type{
		reflect.TypeFor[batch.Job](), reflect.TypeFor[batch.FailureRule](),
		reflect.TypeFor[batch.ExitCodes](), reflect.TypeFor[batch.SuccessRule](),
	} {
		for field := range s.Fields() {
			fields = append(fields, s.Name()+"."+field.Name)
		}
	}
	var kubernetes, listed []string
	for _, row := range regexp.MustCompile(`(?m)^\t *(\S+) +(\S+)$`).FindAllStringSubmatch(packageDoc(t,
		"Fields of a Kubernetes Job"), -1) {
		kubernetes = append(kubernetes, row[1])
		if row[2] != "-" {
			listed = append(listed, row[2])
		}
	}
	require.ElementsMatch(t, fields, listed)

	for name := range strings.FieldsSeq(`parallelism completions activeDeadlineSeconds
		podFailurePolicy.rules successPolicy.rules
		backoffLimit backoffLimitPerIndex maxFailedIndexes selector manualSelector template
		ttlSecondsAfterFinished completionMode suspend podReplacementPolicy managedBy scheduling`) {
		require.Contains(t, kubernetes, "spec."+name)
	}
}
