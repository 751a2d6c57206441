// Package patch applies patches to objects as JSON, within bounds: a short patch
// can stand for much.
package patch

import (
	"bytes"
	"fmt"
	"net/http"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	kjson "sigs.k8s.io/json"

	"github.com/runtocompletion/batch/contrib/kube/internal/wire"
)

const (
	// Largest is how long a patch may be: what a short patch does to a long list
	// grows with the product of both.
	Largest = 1 << 20
	// MostOperations and mostCopies limit what a JSON patch does.
	MostOperations = 1000
	mostCopies     = 100
	// mostComparisons limits what merging lists costs.
	mostComparisons = 1_000_000
)

// Types are those that Apply knows.
var Types = []types.PatchType{types.JSONPatchType, types.MergePatchType, types.StrategicMergePatchType}

// Apply returns what a patch of one of the Types makes of an object. Sample is a
// value of the object's Go type, which says how lists are merged.
func Apply(kind types.PatchType, live, patch []byte, sample any) ([]byte, error) {
	switch kind {
	case types.JSONPatchType:
		return applyJSON(live, patch)
	case types.StrategicMergePatchType:
		return applyStrategic(live, patch, sample)
	}
	after, err := jsonpatch.MergePatch(live, patch)
	if err != nil {
		return nil, wire.BadRequest("%v", err)
	}
	return after, nil
}

// applyStrategic merges lists by comparing each item of one with each of the
// other.
func applyStrategic(live, patch []byte, sample any) ([]byte, error) {
	if bytes.Count(live, []byte{','})*bytes.Count(patch, []byte{','}) > mostComparisons {
		if items(live)*items(patch) > mostComparisons {
			return nil, apierrors.NewRequestEntityTooLargeError(
				"the lists of the object and of the patch are too long to be merged",
			)
		}
	}
	after, err := strategicpatch.StrategicMergePatch(live, patch, sample)
	if err != nil {
		return nil, wire.BadRequest("%v", err)
	}
	return after, nil
}

// items counts the items of all lists in a JSON value.
func items(data []byte) int {
	var v any
	if kjson.UnmarshalCaseSensitivePreserveInts(data, &v) != nil {
		return 0 // whoever reads it next says so
	}
	return itemsOf(v)
}

func itemsOf(v any) (n int) {
	switch v := v.(type) {
	case []any:
		n = len(v)
		for _, item := range v {
			n += itemsOf(item)
		}
	case map[string]any:
		for _, field := range v {
			n += itemsOf(field)
		}
	}
	return n
}

// applyJSON applies a patch in parts that end with a copy: copies of copies
// can stand for any amount of memory.
func applyJSON(live, patch []byte) ([]byte, error) {
	operations, err := decodeJSON(patch)
	if err != nil {
		return nil, err
	}
	copies, begin := 0, 0
	for i, operation := range operations {
		isCopy := operation.Kind() == "copy"
		if !isCopy && i < len(operations)-1 {
			continue
		}
		if isCopy {
			copies++
		}
		if live, err = operations[begin : i+1].Apply(live); err != nil {
			return nil, apierrors.NewGenericServerResponse(http.StatusUnprocessableEntity, "", schema.GroupResource{}, "",
				err.Error(), 0, false)
		}
		if len(live) > wire.LargestBody || copies > mostCopies {
			return nil, apierrors.NewRequestEntityTooLargeError("the JSON patch makes too much of the object")
		}
		begin = i + 1
	}
	return live, nil
}

func decodeJSON(patch []byte) (jsonpatch.Patch, error) {
	operations, err := jsonpatch.DecodePatch(patch)
	if err != nil {
		return nil, wire.BadRequest("%v", err)
	}
	if len(operations) > MostOperations {
		return nil, apierrors.NewRequestEntityTooLargeError(fmt.Sprintf(
			"The allowed maximum operations in a JSON patch is %d, got %d", MostOperations, len(operations)))
	}
	return operations, nil
}
