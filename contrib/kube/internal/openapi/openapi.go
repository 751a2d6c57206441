// Package openapi describes API objects in OpenAPI v3, as much of it as clients
// need: to explain fields, to merge patches, and to learn that a server
// validates fields. It is made of the Go types, and of the documentation and the
// tags that come with them.
package openapi

import (
	"encoding"
	"encoding/json"
	"maps"
	"reflect"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// A Resource is what is at one path.
type Resource struct {
	Path   string // of one object, with {name}
	Kind   schema.GroupVersionKind
	Object any  // a pointer to the Go type
	Patch  bool // it can be patched
}

// A Document is an OpenAPI v3 document.
type Document struct {
	OpenAPI    string                          `json:"openapi"`
	Info       map[string]string               `json:"info"`
	Paths      map[string]map[string]operation `json:"paths"`
	Components struct {
		Schemas map[string]*node `json:"schemas"`
	} `json:"components"`
}

type operation struct {
	Description string                  `json:"description"`
	Parameters  []parameter             `json:"parameters,omitempty"`
	RequestBody *body                   `json:"requestBody,omitempty"`
	Responses   map[string]any          `json:"responses"`
	Kind        metav1.GroupVersionKind `json:"x-kubernetes-group-version-kind"`
	Action      string                  `json:"x-kubernetes-action"`
}

type parameter struct {
	Name        string         `json:"name"`
	In          string         `json:"in"`
	Description string         `json:"description"`
	Required    bool           `json:"required,omitempty"`
	Schema      map[string]any `json:"schema"`
}

type body struct {
	Content map[string]any `json:"content"`
}

// A node is a schema.
type node struct {
	Description          string                    `json:"description,omitempty"`
	Type                 string                    `json:"type,omitempty"`
	Format               string                    `json:"format,omitempty"`
	Ref                  string                    `json:"$ref,omitempty"`
	AllOf                []*node                   `json:"allOf,omitempty"`
	OneOf                []*node                   `json:"oneOf,omitempty"`
	Properties           map[string]*node          `json:"properties,omitempty"`
	AdditionalProperties *node                     `json:"additionalProperties,omitempty"`
	Items                *node                     `json:"items,omitempty"`
	Required             []string                  `json:"required,omitempty"`
	Kinds                []metav1.GroupVersionKind `json:"x-kubernetes-group-version-kind,omitempty"`
	MergeKey             string                    `json:"x-kubernetes-patch-merge-key,omitempty"`
	Strategy             string                    `json:"x-kubernetes-patch-strategy,omitempty"`
}

// New describes resources of one group version.
func New(resources []Resource) *Document {
	d := &Document{OpenAPI: "3.0.0", Info: map[string]string{"title": "Kubernetes", "version": "v1.37.2"},
		Paths: make(map[string]map[string]operation)}
	d.Components.Schemas = make(map[string]*node)
	for _, r := range resources {
		d.Paths[r.Path] = r.operations()
		d.schemaOf(reflect.TypeFor[metav1.Patch]())
		d.schemaOf(reflect.TypeOf(r.Object).Elem())
		d.Components.Schemas[modelName(reflect.TypeOf(r.Object).Elem())].Kinds =
			[]metav1.GroupVersionKind{metav1.GroupVersionKind(r.Kind)}
	}
	return d
}

func (r Resource) operations() map[string]operation {
	ok := map[string]any{"200": map[string]string{"description": "OK"}}
	kind := metav1.GroupVersionKind(r.Kind)
	operations := map[string]operation{"get": {
		Description: "read the specified " + r.Kind.Kind, Responses: ok, Kind: kind, Action: "get",
	}}
	if r.Patch {
		schema := map[string]any{"schema": map[string]string{
			"$ref": "#/components/schemas/" + modelName(reflect.TypeFor[metav1.Patch]()),
		}}
		operations["patch"] = operation{Description: "partially update the specified " + r.Kind.Kind, Responses: ok,
			Kind:   kind,
			Action: "patch", Parameters: patchParameters(), RequestBody: &body{Content: map[string]any{
				"application/json-patch+json": schema, "application/merge-patch+json": schema,
				"application/strategic-merge-patch+json": schema, "application/apply-patch+yaml": schema}}}
	}
	return operations
}

// patchParameters are the options of a patch, with the documentation they have.
func patchParameters() []parameter {
	var list []parameter
	docs := metav1.PatchOptions{}.SwaggerDoc()
	for _, name := range []string{"dryRun", "fieldManager", "fieldValidation", "force"} {
		kind := "string"
		if name == "force" {
			kind = "boolean"
		}
		list = append(list, parameter{Name: name, In: "query", Description: docs[name], Schema: map[string]any{"type": kind}})
	}
	return list
}

// modelName is the name of a type's schema, such as io.k8s.api.batch.v1.Job.
func modelName(t reflect.Type) string {
	if named, ok := reflect.Zero(t).Interface().(interface{ OpenAPIModelName() string }); ok {
		return named.OpenAPIModelName()
	}
	path := strings.TrimPrefix(t.PkgPath(), "k8s.io/")
	return "io.k8s." + strings.ReplaceAll(path, "/", ".") + "." + t.Name()
}

var (
	jsonMarshaler = reflect.TypeFor[json.Marshaler]()
	textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()
)

// schemaOf describes a type; structs are described once and referred to.
func (d *Document) schemaOf(t reflect.Type) *node {
	if special := specialSchema(t); special != nil {
		return d.named(t, func() *node { return special })
	}
	switch t.Kind() {
	case reflect.Pointer:
		return d.schemaOf(t.Elem())
	case reflect.Struct:
		return d.named(t, nil)
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return &node{Type: "string", Format: "byte"}
		}
		return &node{Type: "array", Items: d.schemaOf(t.Elem())}
	case reflect.Map:
		return &node{Type: "object", AdditionalProperties: d.schemaOf(t.Elem())}
	}
	return scalar(t.Kind())
}

func scalar(kind reflect.Kind) *node {
	switch kind {
	case reflect.Bool:
		return &node{Type: "boolean"}
	case reflect.Int32, reflect.Int16, reflect.Int8, reflect.Uint8, reflect.Uint16:
		return &node{Type: "integer", Format: "int32"}
	case reflect.Int, reflect.Int64, reflect.Uint, reflect.Uint32, reflect.Uint64:
		return &node{Type: "integer", Format: "int64"}
	case reflect.Float32, reflect.Float64:
		return &node{Type: "number", Format: "double"}
	}
	return &node{Type: "string"}
}

// specialSchema describes the types that are not encoded as they are built.
func specialSchema(t reflect.Type) *node {
	switch t {
	case reflect.TypeFor[metav1.Time](), reflect.TypeFor[metav1.MicroTime]():
		return &node{Type: "string", Format: "date-time"}
	case reflect.TypeFor[intstr.IntOrString]():
		return &node{Type: "string", Format: "int-or-string"}
	case reflect.TypeFor[resource.Quantity]():
		return &node{Type: "string"}
	case reflect.TypeFor[metav1.FieldsV1](), reflect.TypeFor[metav1.Patch]():
		return &node{Type: "object"}
	}
	if t.Kind() == reflect.Struct && (t.Implements(jsonMarshaler) || t.Implements(textMarshaler)) {
		return &node{Type: "string"}
	}
	return nil
}

// named puts the schema of a type among the components, unless it is there, and
// returns a reference to it.
func (d *Document) named(t reflect.Type, special func() *node) *node {
	name := modelName(t)
	ref := &node{Ref: "#/components/schemas/" + name}
	if d.Components.Schemas[name] != nil {
		return ref
	}
	n := &node{Type: "object"}
	d.Components.Schemas[name] = n // types may contain themselves
	docs := docsOf(t)
	if special != nil {
		*n = *special()
	} else {
		n.Properties = make(map[string]*node)
		d.addFields(n, t, docs)
	}
	n.Description = docs[""]
	return ref
}

func docsOf(t reflect.Type) map[string]string {
	if documented, ok := reflect.Zero(t).Interface().(interface{ SwaggerDoc() map[string]string }); ok {
		return documented.SwaggerDoc()
	}
	return nil
}

func (d *Document) addFields(n *node, t reflect.Type, docs map[string]string) {
	for f := range t.Fields() {
		f := f
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-" || !f.IsExported():
			continue
		case name == "" && (f.Anonymous || strings.Contains(options, "inline")):
			d.addFields(n, f.Type, mergeDocs(docs, f.Type))
			continue
		}
		n.Properties[name] = d.field(f, docs[name])
		if !strings.Contains(options, "omit") && f.Type.Kind() != reflect.Pointer {
			n.Required = append(n.Required, name)
		}
	}
}

// mergeDocs adds the documentation of an embedded type's fields.
func mergeDocs(docs map[string]string, embedded reflect.Type) map[string]string {
	merged := make(map[string]string)
	maps.Copy(merged, docsOf(embedded))
	maps.Copy(merged, docs)
	return merged
}

func (d *Document) field(f reflect.StructField, doc string) *node {
	n := d.schemaOf(f.Type)
	if n.Ref != "" { // what stands beside a reference is ignored
		n = &node{AllOf: []*node{n}}
	}
	n.Description = doc
	n.MergeKey, n.Strategy = f.Tag.Get("patchMergeKey"), f.Tag.Get("patchStrategy")
	return n
}
