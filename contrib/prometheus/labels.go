package prometheus

import (
	"fmt"
	"regexp"
	"strings"
)

// A labelList is an allowlist of the labels, or annotations, of Kubernetes that
// become labels of Prometheus.
type labelList struct {
	keys  []string
	names []string // of the labels, for each key
}

var (
	notInNames = regexp.MustCompile(`[^a-zA-Z0-9_]`)
	humps      = regexp.MustCompile(`([a-z0-9])([A-Z])`)
)

func newLabelList(option, prefix string, keys []string) (labelList, error) {
	l := labelList{keys: keys}
	keyOf := make(map[string]string, len(keys))
	for _, key := range keys {
		if key == "" || key == "*" {
			return l, fmt.Errorf("prometheus: Options.%s: %q: must be the key of one label", option, key)
		}
		name := prefix + "_" + snake(key)
		if other, ok := keyOf[name]; ok {
			return l, fmt.Errorf("prometheus: Options.%s: %q and %q make the same label %s", option, other, key, name)
		}
		keyOf[name] = key
		l.names = append(l.names, name)
	}
	return l, nil
}

// snake is how kube-state-metrics spells a key: appName is app_name.
func snake(key string) string {
	return strings.ToLower(humps.ReplaceAllString(notInNames.ReplaceAllString(key, "_"), "${1}_${2}"))
}

// values are those of the list's labels. A label that is missing has the empty
// value, which is the same to Prometheus.
func (l labelList) values(of map[string]string) []string {
	values := make([]string, len(l.keys))
	for i, key := range l.keys {
		values[i] = of[key]
	}
	return values
}

// valid replaces what is not UTF-8, which Prometheus would refuse.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
