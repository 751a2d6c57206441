package page_test

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/page"
)

// exports has a job whose attempts fail in several ways, and asks for it as a file.
func exports(t *testing.T) func(file string) string {
	w := &world{t: t, controller: newController(t, batch.Options{})}
	h := page.Handler(w.controller, page.Options{})
	t.Cleanup(h.Close)
	w.create(batch.Job{
		Name: "import", CompletionMode: batch.Indexed, Completions: new(3), Parallelism: new(3), BackoffLimitPerIndex: new(1),
		Backoff: batch.ConstantBackoff(time.Millisecond),
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			fmt.Fprintf(a.Stdout(), "<b>&\x1b[31mred\x1b[0m\x00 %d\n", a.Index)
			switch {
			case a.Index == 1 && a.Number == 0:
				return batch.Command{Args: []string{"sh", "-c", "kill -9 $$"}}.Execute(ctx, a)
			case a.Index == 2:
				return fmt.Errorf("import: %w", errors.New(`no such <table> "x"`))
			}
			return nil
		}),
	})
	w.finish("import")
	return func(file string) string {
		answer := get(h, "/job/import/file/"+file)
		require.Equal(t, http.StatusOK, answer.Code)
		require.Contains(t, answer.Header().Get("Content-Disposition"), "import-"+file)
		return answer.Body.String()
	}
}

func TestJoblog(t *testing.T) {
	lines := strings.Split(strings.TrimSuffix(exports(t)("joblog.tsv"), "\n"), "\n")
	require.Equal(t, "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand", lines[0])
	require.Len(t, lines, 6)
	outcomes := map[string]int{}
	for i, line := range lines[1:] {
		m := regexp.MustCompile(
			`^(\d)\t:\t\d{10}\.\d{3}\t +\d+\.\d{3}\t0\t0\t(\d+\t\d+)\timport-(\d)-\w+$`,
		).FindStringSubmatch(line)
		require.NotNil(t, m, line)
		require.Equal(t, fmt.Sprint(i+1), m[1])
		outcomes[m[3]+"\t"+m[2]]++
	}
	require.Equal(t, map[string]int{"0\t0\t0": 1, "1\t0\t9": 1, "1\t0\t0": 1, "2\t1\t0": 2}, outcomes)
}

func TestJUnit(t *testing.T) {
	var suites struct {
		Suite struct {
			Name     string `xml:"name,attr"`
			Tests    int    `xml:"tests,attr"`
			Failures int    `xml:"failures,attr"`
			Case     []struct {
				Name    string `xml:"name,attr"`
				Failure *struct {
					Message string `xml:"message,attr"`
					Text    string `xml:",chardata"`
				} `xml:"failure"`
				Out string `xml:"system-out"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	require.NoError(t, xml.Unmarshal([]byte(exports(t)("junit.xml")), &suites))
	require.Equal(t, "import", suites.Suite.Name)
	require.Equal(t, 5, suites.Suite.Tests)
	require.Equal(t, 3, suites.Suite.Failures)
	for _, c := range suites.Suite.Case {
		require.Contains(t, c.Out, "<b>&")
		if strings.HasPrefix(c.Name, "import-2-") {
			require.Equal(t, `import: no such <table> "x"`, c.Failure.Message)
			require.Contains(t, c.Failure.Text, "*errors.errorString: no such")
		}
	}
}

func TestTrace(t *testing.T) {
	var trace struct {
		Events []struct {
			Phase    string `json:"ph"`
			Lane     int    `json:"tid"`
			From     int64  `json:"ts"`
			Duration int64  `json:"dur"`
			Category string `json:"cat"`
		} `json:"traceEvents"`
	}
	require.NoError(t, json.Unmarshal([]byte(exports(t)("trace.json")), &trace))
	ends, outcomes := map[int]int64{}, map[string]int{}
	for _, e := range trace.Events {
		if e.Phase != "X" {
			continue
		}
		require.GreaterOrEqual(t, e.From, ends[e.Lane], "attempts in a lane do not overlap")
		ends[e.Lane] = e.From + e.Duration
		outcomes[e.Category]++
	}
	require.Equal(t, map[string]int{"Succeeded": 2, "Failed": 3}, outcomes)
	require.LessOrEqual(t, len(ends), 3)
}

func TestReportIsOneFile(t *testing.T) {
	report := exports(t)("report.html")
	require.NotRegexp(t, `(src|href)="[^#]`, report, "it needs nothing else")
	require.Contains(t, report, "<style")
	require.Contains(t, report, "class Timeline")
	require.Contains(t, report, "&lt;b&gt;&amp;red\uFFFD 2", "the logs are in it")
	require.Contains(t, report, "no such &lt;table&gt;")
}
