package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/apimachinery/pkg/util/validation/field"
	kjson "sigs.k8s.io/json"
)

const (
	// largestPatch is how long a patch may be: what a short patch does to a long
	// list grows with the product of both.
	largestPatch = 1 << 20
	// mostOperations and mostCopies limit what a JSON patch does.
	mostOperations = 1000
	mostCopies     = 100
	// mostComparisons limits what merging lists costs.
	mostComparisons = 1_000_000
)

// A patcher makes a manifest, as JSON, of the one there is.
type patcher func(live, patch []byte) ([]byte, error)

var patchers = map[types.PatchType]patcher{
	types.JSONPatchType:           applyJSONPatch,
	types.MergePatchType:          applyMergePatch,
	types.StrategicMergePatchType: applyStrategicPatch,
}

// patch changes a job by a patch of one of four types.
func (a *answer) patch(q *query) error {
	if err := a.allowWrites(q); err != nil {
		return err
	}
	kind := types.PatchType(a.contentType())
	if patchers[kind] == nil && kind != types.ApplyYAMLPatchType {
		return unsupportedMediaType(string(types.JSONPatchType), string(types.MergePatchType),
			string(types.StrategicMergePatchType), string(types.ApplyYAMLPatchType))
	}
	var options metav1.PatchOptions
	if err := metav1.Convert_url_Values_To_v1_PatchOptions(&q.params, &options, nil); err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	if err := invalidOptions("PatchOptions", metavalidation.ValidatePatchOptions(&options, kind)); err != nil {
		return err
	}
	body, err := a.readBody(largestPatch)
	if err != nil {
		return err
	}
	if kind == types.ApplyYAMLPatchType {
		return a.apply(q, options, body)
	}
	return a.patchJob(q, options, patchers[kind], body)
}

// patchJob changes a job by a patch.
func (a *answer) patchJob(q *query, options metav1.PatchOptions, apply patcher, body []byte) error {
	decoder := a.decoder(options.FieldValidation)
	manager := a.manager(options.FieldManager)
	changed, err := a.change(q, len(options.DryRun) > 0, func(live *batchv1.Job) (*batchv1.Job, error) {
		updated, err := decoder.patched(live, body, apply)
		if err != nil {
			return nil, err
		}
		if err := a.complete(updated, live); err != nil {
			return nil, err
		}
		return updated, a.server.fields.Updated(live, updated, manager)
	})
	if err != nil {
		return err
	}
	return a.writeChanged(q, http.StatusOK, changed)
}

// patched returns the manifest that a patch makes of a job's.
func (d decoder) patched(live *batchv1.Job, patch []byte, apply patcher) (*batchv1.Job, error) {
	if err := d.checkDuplicates(patch); err != nil {
		return nil, err
	}
	before, err := json.Marshal(live)
	if err != nil {
		return nil, err
	}
	after, err := apply(before, patch)
	if err != nil {
		return nil, err
	}
	updated := new(batchv1.Job)
	strict, err := kjson.UnmarshalStrict(after, updated)
	if err == nil {
		err = d.complain(strict)
	}
	if err != nil {
		return nil, invalidPatch(patch, err)
	}
	if updated.Name != live.Name || updated.APIVersion != live.APIVersion || updated.Kind != live.Kind {
		return nil, apierrors.NewBadRequest("a patch cannot change the name or the kind of an object")
	}
	return updated, nil
}

// checkDuplicates complains of fields that a patch has twice.
func (d decoder) checkDuplicates(patch []byte) error {
	if err := checkDepth(patch); err != nil {
		return err
	}
	var v any
	strict, err := kjson.UnmarshalStrict(patch, &v)
	if err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	if err := d.complain(strict); err != nil {
		return invalidPatch(patch, err)
	}
	return nil
}

func invalidPatch(patch []byte, err error) error {
	return apierrors.NewInvalid(schema.GroupKind{}, "", field.ErrorList{
		field.Invalid(field.NewPath("patch"), string(patch[:min(len(patch), longestWarning)]), err.Error())})
}

func applyMergePatch(live, patch []byte) ([]byte, error) {
	after, err := jsonpatch.MergePatch(live, patch)
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	return after, nil
}

// applyStrategicPatch merges lists by comparing each item of one with each of the
// other.
func applyStrategicPatch(live, patch []byte) ([]byte, error) {
	if bytes.Count(live, []byte{','})*bytes.Count(patch, []byte{','}) > mostComparisons {
		if items(live)*items(patch) > mostComparisons {
			return nil, apierrors.NewRequestEntityTooLargeError("the lists of the object and of the patch are too long to be merged")
		}
	}
	after, err := strategicpatch.StrategicMergePatch(live, patch, batchv1.Job{})
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
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
		if len(live) > largestBody || copies > mostCopies {
			return nil, apierrors.NewRequestEntityTooLargeError("the JSON patch makes too much of the object")
		}
		begin = i + 1
	}
	return live, nil
}

func decodeJSONPatch(patch []byte) (jsonpatch.Patch, error) {
	operations, err := jsonpatch.DecodePatch(patch)
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	if len(operations) > mostOperations {
		return nil, apierrors.NewRequestEntityTooLargeError(fmt.Sprintf(
			"The allowed maximum operations in a JSON patch is %d, got %d", mostOperations, len(operations)))
	}
	return operations, nil
}

// apply is server-side apply: the manager owns the fields of the manifest that
// it sends, and no others.
func (a *answer) apply(q *query, options metav1.PatchOptions, body []byte) error {
	d := a.decoder(options.FieldValidation)
	manifest, err := d.yamlToJSON(body)
	if err != nil {
		return apierrors.NewBadRequest(fmt.Sprintf("error decoding YAML: %v", err))
	}
	if err := checkDepth(manifest); err != nil {
		return err
	}
	var patch map[string]any
	if err := kjson.UnmarshalCaseSensitivePreserveInts(manifest, &patch); err != nil {
		return apierrors.NewBadRequest(fmt.Sprintf("error decoding YAML: %v", err))
	}
	if patch == nil {
		return apierrors.NewBadRequest("error decoding YAML: there is no object")
	}
	if err := d.checkDuplicates(manifest); err != nil {
		return err
	}
	if err := checkApplied(q, patch); err != nil {
		return err
	}
	return a.applyManifest(q, options, patch)
}

// checkApplied refuses a manifest that is not that of the job in the path.
func checkApplied(q *query, patch map[string]any) error {
	kind := schema.FromAPIVersionAndKind(text(patch["apiVersion"]), text(patch["kind"]))
	if kind != jobKind {
		return apierrors.NewBadRequest(fmt.Sprintf("an apply patch must have the apiVersion and kind of %v, not of %v", jobKind, kind))
	}
	meta, _ := patch["metadata"].(map[string]any)
	if name := text(meta["name"]); name != "" && name != q.name {
		return apierrors.NewBadRequest(fmt.Sprintf("the name of the object (%s) does not match the name on the URL (%s)", name, q.name))
	}
	if meta == nil {
		meta = make(map[string]any)
		patch["metadata"] = meta
	}
	meta["name"] = q.name
	return nil
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

// applyManifest applies a manifest to the job there is, or creates it.
func (a *answer) applyManifest(q *query, options metav1.PatchOptions, patch map[string]any) error {
	force := options.Force != nil && *options.Force
	dryRun := len(options.DryRun) > 0
	changed, err := a.change(q, dryRun, func(live *batchv1.Job) (*batchv1.Job, error) {
		updated, err := a.server.fields.Applied(live, runtime.DeepCopyJSON(patch), options.FieldManager, force)
		if err != nil {
			return nil, err
		}
		return updated, a.complete(updated, live)
	})
	code := http.StatusOK
	if apierrors.IsNotFound(err) && q.namespace == a.server.config.Namespace {
		code = http.StatusCreated
		changed, err = a.createApplied(q, options.FieldManager, patch, dryRun)
	}
	if err != nil {
		return err
	}
	return a.writeChanged(q, code, changed)
}

func (a *answer) createApplied(q *query, manager string, patch map[string]any, dryRun bool) (object, error) {
	empty := &batchv1.Job{TypeMeta: metav1.TypeMeta{Kind: jobKind.Kind, APIVersion: batchv1.SchemeGroupVersion.String()}}
	m, err := a.server.fields.Applied(empty, runtime.DeepCopyJSON(patch), manager, false)
	if err != nil {
		return nil, err
	}
	if err := a.checkNew(q, m); err != nil {
		return nil, err
	}
	a.clearForCreate(m)
	return a.start(q, m, dryRun)
}
