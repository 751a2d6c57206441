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
		regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`),
		"00000000-0000-0000-0000-000000000000",
	},
	{regexp.MustCompile(`\b([a-z][a-z0-9]*(-[a-z0-9]+)*)-` + random + `\b`), "$1-xxxxx"},
	{
		regexp.MustCompile(`\b[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [+-]\d{4}`),
		"Mon, 02 Jan 2006 15:04:05 -0700",
	},
	{regexp.MustCompile(`\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(Z|[+-]\d\d:\d\d)`), "2006-01-02T15:04:05.999999999Z"},
	{regexp.MustCompile(`\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)`), "2006-01-02T15:04:05Z"},
	{regexp.MustCompile(`\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ [+-]\d{4}`), "2006-01-02 15:04:05.999999999 -0700"},
	{regexp.MustCompile(`\b([a-z]+)\.[0-9a-f]{16,}`), "$1.0123456789abcdef"}, // an event
	{regexp.MustCompile(`batch://[0-9a-f]{64}`), "batch://0123456789abcdef"},
	{regexp.MustCompile(`(resourceVersion"?: ")\d+"`), `${1}1"`},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "127.0.0.1:6443"},
	{regexp.MustCompile(`kubelet  spec\.containers\{main\}: `), "kubelet  "}, // newer kubectls say where
	{regexp.MustCompile(` deleted from default namespace`), " deleted"},      // newer kubectls say it
	{regexp.MustCompile(`/\S*/(LIVE|MERGED)-\d+/`), "/tmp/$1/"},
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
			"NAME       READY   STATUS    RESTARTS      AGE\npi-x7k2p   0/1     Running   1 (12s ago)   75s\n",
			"NAME       READY   STATUS    RESTARTS      AGE\npi-xxxxx   0/1     Running   1 (1s ago)   1s\n",
		},
		"a column of ages": {
			"Age   From\n10s   job-controller\n9s    job-controller\n",
			"Age   From\n1s    job-controller\n1s    job-controller\n",
		},
		"the pod of an index": {"pod/backup-2024-3-zzk2p\n", "pod/backup-2024-3-xxxxx\n"},
		"words": {
			"job-controller batch-manager kubectl-client-side-apply\n",
			"job-controller batch-manager kubectl-client-side-apply\n",
		},
		"times": {
			"2026-11-23T18:06:07Z 2026-11-23T18:06:07.123Z\n", "2006-01-02T15:04:05Z 2006-01-02T15:04:05.999999999Z\n",
		},
		"versions": {`  resourceVersion: "1795454"`, `  resourceVersion: "1"`},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, c.want, normalize(c.text)) })
	}
}
