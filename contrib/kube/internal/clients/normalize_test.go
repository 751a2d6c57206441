package clients

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A rule replaces what differs from run to run.
type rule struct {
	pattern *regexp.Regexp
	by      string
}

// random is what the names of pods end in.
const random = `[bcdfghjklmnpqrstvwxz2456789]{5}`

var rules = []rule{
	{
		pattern: regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`),
		by:      "00000000-0000-0000-0000-000000000000",
	},
	{pattern: regexp.MustCompile(`\b([a-z][a-z0-9]*(-[a-z0-9]+)*)-` + random + `\b`), by: "$1-xxxxx"},
	{
		pattern: regexp.MustCompile(`\b[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [+-]\d{4}`),
		by:      "Mon, 02 Jan 2006 15:04:05 -0700",
	},
	{
		pattern: regexp.MustCompile(`\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(Z|[+-]\d\d:\d\d)`),
		by:      "2006-01-02T15:04:05.999999999Z",
	},
	{pattern: regexp.MustCompile(`\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)`), by: "2006-01-02T15:04:05Z"},
	{
		pattern: regexp.MustCompile(`\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ [+-]\d{4}`),
		by:      "2006-01-02 15:04:05.999999999 -0700",
	},
	{pattern: regexp.MustCompile(`\b([a-z]+)\.[0-9a-f]{16,}`), by: "$1.0123456789abcdef"}, // an event
	{pattern: regexp.MustCompile(`batch://[0-9a-f]{64}`), by: "batch://0123456789abcdef"},
	{pattern: regexp.MustCompile(`(resourceVersion"?: ")\d+"`), by: `${1}1"`},
	{pattern: regexp.MustCompile(`127\.0\.0\.1:\d+`), by: "127.0.0.1:6443"},
	{pattern: regexp.MustCompile(`kubelet  spec\.containers\{main\}: `), by: "kubelet  "}, // newer kubectls say where
	// "1 (12s ago)" is wider than "1 (1s ago)".
	{pattern: regexp.MustCompile(`RESTARTS {6,}AGE`), by: "RESTARTS     AGE"},
	{pattern: regexp.MustCompile(` deleted from default namespace`), by: " deleted"}, // newer kubectls say it
	{pattern: regexp.MustCompile(`/\S*/(LIVE|MERGED)-\d+/`), by: "/tmp/$1/"},
}

// age is a duration in a table or at its end, with the space that fills its
// column.
var age = regexp.MustCompile(`\b\d+m?s\b( *)`)

// normalize makes output of kubectl comparable, without moving its columns.
func normalize(text string) string {
	for _, r := range rules {
		text = r.pattern.ReplaceAllString(text, r.by)
	}
	return age.ReplaceAllStringFunc(text, func(found string) string {
		if !strings.HasSuffix(found, "  ") { // not the filling of a column
			return "1s" + strings.Repeat(" ", strings.Count(found, " "))
		}
		return "1s" + strings.Repeat(" ", len(found)-len("1s"))
	})
}

func TestNormalize(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"a table": {
			text: "NAME       READY   STATUS    RESTARTS      AGE\npi-x7k2p   0/1     Running   1 (12s ago)   75s\n",
			want: "NAME       READY   STATUS    RESTARTS     AGE\npi-xxxxx   0/1     Running   1 (1s ago)   1s\n",
		},
		"a column of ages": {
			text: "Age   From\n10s   job-controller\n9s    job-controller\n",
			want: "Age   From\n1s    job-controller\n1s    job-controller\n",
		},
		"the pod of an index": {text: "pod/backup-2024-3-zzk2p\n", want: "pod/backup-2024-3-xxxxx\n"},
		"words": {
			text: "job-controller batch-manager kubectl-client-side-apply\n",
			want: "job-controller batch-manager kubectl-client-side-apply\n",
		},
		"times": {
			text: "2026-11-23T18:06:07Z 2026-11-23T18:06:07.123Z\n",
			want: "2006-01-02T15:04:05Z 2006-01-02T15:04:05.999999999Z\n",
		},
		"versions": {text: `  resourceVersion: "1795454"`, want: `  resourceVersion: "1"`},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, c.want, normalize(c.text)) })
	}
}
