package validation

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
)

// TestSuccessIndexesTooLong has texts that are not ascending either.
func TestSuccessIndexesTooLong(t *testing.T) {
	text := strings.Repeat("0,", 32768)
	for _, c := range []struct {
		text    string
		tooLong bool
	}{{text: text}, {text: text + "0", tooLong: true}} {
		errs := Validate(stored(func(m *batchv1.Job) {
			indexedJob(m)
			m.Spec.SuccessPolicy = &batchv1.SuccessPolicy{Rules: []batchv1.SuccessPolicyRule{{SucceededIndexes: &c.text}}}
		}))
		require.ErrorContains(t, errs.ToAggregate(), "non-increasing order")
		const tooLong = "spec.successPolicy.rules[0].succeededIndexes: Too long: may not be more than 65536 bytes"
		require.Equal(t, c.tooLong, strings.Contains(errs.ToAggregate().Error(), tooLong), "%d bytes", len(c.text))
	}
}
