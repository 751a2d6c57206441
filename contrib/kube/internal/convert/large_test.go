package convert

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch/contrib/kube/internal/manifest"
	"github.com/runtocompletion/batch/contrib/kube/internal/validation"
)

// TestLargeManifests wants an answer, and soon, to manifests as large as a request
// may be, that repeat one thing over and over.
func TestLargeManifests(t *testing.T) {
	const main = `"containers":[{"name":"m","image":"func/report"`
	repeated := func(item string) string {
		return strings.TrimSuffix(strings.Repeat(item+",", 1_000_000/len(item)), ",")
	}
	for name, pod := range map[string]string{
		"containers": `"containers":[` + repeated(`{"name":"a","image":"func/report"}`) + `]`,
		"init containers": main + `}],"initContainers":[` +
			repeated(
				`{"name":"a","image":"func/report","env":[{"name":"A","valueFrom":{"resourceFieldRef":{"containerName":"z",`+
					`"resource":"limits.cpu"}}}]}`,
			) + `]`,
		"variables": main + `,"env":[` + repeated(`{"name":"A","value":"$(A)"}`) + `]}]`,
		"ports":     main + `,"ports":[` + repeated(`{"containerPort":80}`) + `]}]`,
		"volumes":   main + `}],"volumes":[` + repeated(`{"name":"a"}`) + `]`,
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			manifests, err := manifest.Decode(
				[]byte(
					`{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"j"},` +
						`"spec":{"template":{"spec":{"restartPolicy":"Never",` + pod + `}}}}`,
				),
			)
			require.NoError(t, err)
			m := manifests.Jobs[0]
			validation.Default(m)
			validation.Validate(m)
			require.LessOrEqual(t, len(validation.Warnings(m)), 100)
			s := anything.support(m)
			require.LessOrEqual(t, len(s.warnings), 100)
			require.Less(t, time.Since(start), 20*time.Second, "a second on an idle machine")
		})
	}
}
