package clients

import (
	"fmt"
	"path"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// differences are the fields in which objects are not those of a cluster, by kind and
// path, with the reason. In a path, * stands for any part.
var differences = []struct{ path, reason string }{
	{"*/*/metadata/resourceVersion", "versions count in microseconds, so that a server that is started again goes on"},
	{"*/*/metadata/managedFields", "managers are kept of what clients set: no controller is a client here"},
	{"jobs/*/status/conditions/Finished", "added, so that one wait answers for Complete and Failed"},
	{"pods/*/spec/nodeName", "the node is this machine, as a process that is not registered anywhere can call it"},
	{"pods/*/spec/serviceAccount", "there are no service accounts"},
	{"pods/*/spec/serviceAccountName", "there are no service accounts"},
	{"pods/*/spec/tolerations", "nothing is ever tainted"},
	{"pods/*/spec/volumes/kube-api-access-*", "there are no service accounts: containers get no token"},
	{"pods/*/spec/*/*/volumeMounts/kube-api-access-*", "containers get no token"},
	{"pods/*/status/*/*/volumeMounts/kube-api-access-*", "containers get no token"},
	{"pods/*/status/allocatedResources", "nothing is set aside: requests are not enforced"},
	{"pods/*/status/*/*/allocatedResources", "nothing is set aside: requests are not enforced"},
	{"pods/*/status/*/*/containerID", "an ID of this runtime, batch://"},
	{"pods/*/status/*/*/state/terminated/containerID", "an ID of this runtime, batch://"},
	{"pods/*/status/*/*/lastState/terminated/containerID", "an ID of this runtime, batch://"},
	{"pods/*/status/*/*/state/terminated/message", "the message of one that left none is its error"},
	{"pods/*/status/*/*/lastState/terminated/message", "the message of one that left none is its error"},
	{"events/*/involvedObject/resourceVersion", "an event is of an object, not of one of its versions"},
	{"events/*/reportingInstance", "the node is this machine, see nodeName"},
	{"events/*/source/host", "the node is this machine, see nodeName"},
	{"events/CronJob UnexpectedJob/count", "told once for each job: the controller does not look again and again"},
	{"events/Pod Scheduled*", "nobody chooses among nodes"},
	{"events/Pod Pulled*", "no image is pulled"},
	{"events/Pod Created*", "a container is its run: there is nothing to create before it starts"},
	{"events/Pod MissingClusterDNS*", "of the recorded cluster, which has no DNS"},
}

// A place is where a list has an item: by what tells it from the others.
func place(item any, i int) string {
	if m, ok := item.(map[string]any); ok {
		if of, ok := m["involvedObject"].(map[string]any); ok {
			return fmt.Sprint(of["kind"], " ", m["reason"], strings.TrimPrefix(fmt.Sprint(" ", of["fieldPath"]), " <nil>"))
		}
		for _, key := range []string{"type", "name", "key"} {
			if text, ok := m[key].(string); ok {
				return text
			}
		}
	}
	return fmt.Sprint(i)
}

// compare walks over all fields of two sets of objects.
func compare(t *testing.T, want, got any, used map[string]bool) {
	walkBoth("", want, got, func(at string, want, got any) {
		for _, d := range differences {
			if covers(d.path, at) {
				used[d.path] = true
				return
			}
		}
		t.Errorf("%s: is %v, on a cluster %v", at, got, want)
	})
}

// covers reports whether a path is that of a difference, or goes on from there.
func covers(pattern, at string) bool {
	parts := strings.Split(at, "/")
	n := strings.Count(pattern, "/") + 1
	ok, err := path.Match(pattern, strings.Join(parts[:min(n, len(parts))], "/"))
	return ok && err == nil
}

func walkBoth(at string, want, got any, differs func(at string, want, got any)) {
	w, isMap := want.(map[string]any)
	g, _ := got.(map[string]any)
	if list, ok := want.([]any); ok {
		isMap, w = true, byPlace(list)
	}
	if list, ok := got.([]any); ok {
		g = byPlace(list)
	}
	if want == nil && g != nil {
		isMap = true // so that what is added is told field by field, or item by item
	}
	if !isMap || g == nil && len(w) == 0 {
		if !reflect.DeepEqual(normal(want), normal(got)) {
			differs(at, want, got)
		}
		return
	}
	w, g = withoutUIDs(w), withoutUIDs(g)
	for _, key := range keysOf(w, g) {
		walkBoth(strings.TrimPrefix(at+"/"+strings.ReplaceAll(key, "/", "|"), "/"), w[key], g[key], differs)
	}
}

// withoutUIDs has fields whose names have UIDs, as those of managed fields do.
func withoutUIDs(m map[string]any) map[string]any {
	all := make(map[string]any, len(m))
	for key, value := range m {
		all[anyUID.ReplaceAllString(key, "UID")] = value
	}
	return all
}

func byPlace(list []any) map[string]any {
	all := make(map[string]any)
	for i, item := range list {
		all[place(item, i)] = item
	}
	return all
}

var (
	anyUID  = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	anyTime = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$`)
	// The names of pods end at random, those of events with numbers.
	anyPod   = regexp.MustCompile(`\b((?:complete|failed|indexed-[01]|restarted|running|cron)-)[a-z0-9]{5}\b`)
	anyEvent = regexp.MustCompile(`\.[0-9a-f]{16,}$`)
)

// normal is a value without what is another one each time.
func normal(v any) any {
	text, ok := v.(string)
	if !ok {
		return v
	}
	text = anyUID.ReplaceAllString(anyTime.ReplaceAllString(text, "TIME"), "UID")
	return anyEvent.ReplaceAllString(anyPod.ReplaceAllString(text, "${1}xxxxx"), "")
}
