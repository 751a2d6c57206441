package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/apimachinery/pkg/util/validation/field"
	kjson "sigs.k8s.io/json"

	"github.com/runtocompletion/batch/contrib/kube/internal/kinds"
	"github.com/runtocompletion/batch/contrib/kube/internal/wire"
)

// patch changes an object by a patch of one of four types.
func (a *answer) patch(q *query) error {
	kind := types.PatchType(a.ContentType())
	if !slices.Contains(patchTypes, kind) && kind != types.ApplyYAMLPatchType {
		return wire.UnsupportedMediaType(string(types.JSONPatchType), string(types.MergePatchType),
			string(types.StrategicMergePatchType), string(types.ApplyYAMLPatchType))
	}
	var options metav1.PatchOptions
	if err := metav1.Convert_url_Values_To_v1_PatchOptions(&q.params, &options, nil); err != nil {
		return wire.BadRequest("%v", err)
	}
	if err := wire.InvalidOptions("PatchOptions", metavalidation.ValidatePatchOptions(&options, kind)); err != nil {
		return err
	}
	body, err := a.ReadBody(largestPatch)
	if err != nil {
		return err
	}
	if kind == types.ApplyYAMLPatchType {
		return a.apply(q, options, body)
	}
	decoder := a.Decoder(options.FieldValidation)
	modify := func(live kinds.Object) (kinds.Object, error) { return patched(decoder, q.kind, live, kind, body) }
	changed, err := a.change(q, len(options.DryRun) > 0, a.recorded(q, options.FieldManager, modify))
	if err != nil {
		return err
	}
	return a.writeChanged(q, http.StatusOK, changed)
}

// patched returns what a patch makes of an object.
func patched(d wire.Decoder, k *kinds.Kind, live kinds.Object, kind types.PatchType, body []byte) (kinds.Object,
	error) {
	if err := checkDuplicates(d, body); err != nil {
		return nil, err
	}
	before, err := json.Marshal(live)
	if err != nil {
		return nil, err
	}
	after, err := patchJSON(kind, before, body, k.Empty)
	if err != nil {
		return nil, err
	}
	updated := k.New()
	strict, err := kjson.UnmarshalStrict(after, updated)
	if err == nil {
		err = d.Complain(strict)
	}
	if err != nil {
		return nil, invalidPatch(body, err)
	}
	if updated.GetName() != live.GetName() || updated.GetObjectKind().GroupVersionKind() != k.GroupVersionKind {
		return nil, wire.BadRequest("a patch cannot change the name or the kind of an object")
	}
	return updated, nil
}

// checkDuplicates complains of fields that a patch has twice.
func checkDuplicates(d wire.Decoder, body []byte) error {
	if err := wire.CheckDepth(body); err != nil {
		return err
	}
	var v any
	strict, err := kjson.UnmarshalStrict(body, &v)
	if err != nil {
		return wire.BadRequest("%v", err)
	}
	if err := d.Complain(strict); err != nil {
		return invalidPatch(body, err)
	}
	return nil
}

func invalidPatch(body []byte, err error) error {
	return apierrors.NewInvalid(schema.GroupKind{}, "", field.ErrorList{
		field.Invalid(field.NewPath("patch"), string(body[:min(len(body), wire.LongestWarning)]), err.Error())})
}

// apply is server-side apply: the manager owns the fields of the manifest that
// it sends, and no others.
func (a *answer) apply(q *query, options metav1.PatchOptions, body []byte) error {
	d := a.Decoder(options.FieldValidation)
	manifest, err := d.YAMLToJSON(body)
	if err != nil {
		return wire.BadRequest("error decoding YAML: %v", err)
	}
	if err := wire.CheckDepth(manifest); err != nil {
		return err
	}
	var fields map[string]any
	if err := kjson.UnmarshalCaseSensitivePreserveInts(manifest, &fields); err != nil {
		return wire.BadRequest("error decoding YAML: %v", err)
	}
	if fields == nil {
		return wire.BadRequest("error decoding YAML: there is no object")
	}
	if err := checkDuplicates(d, manifest); err != nil {
		return err
	}
	if err := checkApplied(q, fields); err != nil {
		return err
	}
	return a.applyManifest(q, options, fields)
}

// checkApplied refuses a manifest that is not that of the object in the path.
func checkApplied(q *query, fields map[string]any) error {
	kind := schema.FromAPIVersionAndKind(text(fields["apiVersion"]), text(fields["kind"]))
	if kind != q.kind.GroupVersionKind {
		return wire.BadRequest("an apply patch must have the apiVersion and kind of %v, not of %v",
			q.kind.GroupVersionKind, kind)
	}
	meta, _ := fields["metadata"].(map[string]any)
	if name := text(meta["name"]); name != "" && name != q.name {
		return wire.BadRequest(otherName, name, q.name)
	}
	if meta == nil {
		meta = make(map[string]any)
		fields["metadata"] = meta
	}
	meta["name"] = q.name
	return nil
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

// applyManifest applies a manifest to the object there is, or creates it.
func (a *answer) applyManifest(q *query, options metav1.PatchOptions, fields map[string]any) error {
	force := options.Force != nil && *options.Force
	dry := len(options.DryRun) > 0
	managed := q.kind.Writer.Managed()
	changed, err := a.change(q, dry, func(live kinds.Object) (kinds.Object, error) {
		updated, err := managed.Applied(live, runtime.DeepCopyJSON(fields), options.FieldManager, force)
		if err != nil {
			return nil, err
		}
		return updated, a.complete(q, updated, live)
	})
	code := http.StatusOK
	if apierrors.IsNotFound(err) && q.namespace == a.server.host.Namespace {
		code = http.StatusCreated
		changed, err = a.createApplied(q, options.FieldManager, fields, dry)
	}
	if err != nil {
		return err
	}
	return a.writeChanged(q, code, changed)
}

func (a *answer) createApplied(q *query, manager string, fields map[string]any, dry bool) (kinds.Object, error) {
	managed := q.kind.Writer.Managed()
	m, err := managed.Applied(managed.New(), runtime.DeepCopyJSON(fields), manager, false)
	if err != nil {
		return nil, err
	}
	if err := a.prepare(q, m); err != nil {
		return nil, err
	}
	return a.start(q, m, dry)
}

const (
	// largestPatch is how long a patch may be: what a short patch does to a long list
	// grows with the product of both.
	largestPatch = 1 << 20
	// mostOperations and mostCopies limit what a JSON patch does.
	mostOperations = 1000
	mostCopies     = 100
	// mostComparisons limits what merging lists costs.
	mostComparisons = 1_000_000
)

// patchTypes are those that patchJSON knows.
var patchTypes = []types.PatchType{types.JSONPatchType, types.MergePatchType, types.StrategicMergePatchType}

// patchJSON returns what a patch of one of the patchTypes makes of an object. Sample is a
// value of the object's Go type, which says how lists are merged.
func patchJSON(kind types.PatchType, live, patch []byte, sample any) ([]byte, error) {
	switch kind {
	case types.JSONPatchType:
		return applyJSONPatch(live, patch)
	case types.StrategicMergePatchType:
		return applyStrategicPatch(live, patch, sample)
	}
	after, err := jsonpatch.MergePatch(live, patch)
	if err != nil {
		return nil, wire.BadRequest("%v", err)
	}
	return after, nil
}

// applyStrategicPatch merges lists by comparing each item of one with each of the
// other.
func applyStrategicPatch(live, patch []byte, sample any) ([]byte, error) {
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

// applyJSONPatch applies a patch in parts that end with a copy: copies of copies
// can stand for any amount of memory.
func applyJSONPatch(live, patch []byte) ([]byte, error) {
	operations, err := decodeJSONPatch(patch)
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

func decodeJSONPatch(patch []byte) (jsonpatch.Patch, error) {
	operations, err := jsonpatch.DecodePatch(patch)
	if err != nil {
		return nil, wire.BadRequest("%v", err)
	}
	if len(operations) > mostOperations {
		return nil, apierrors.NewRequestEntityTooLargeError(fmt.Sprintf(
			"The allowed maximum operations in a JSON patch is %d, got %d", mostOperations, len(operations)))
	}
	return operations, nil
}
