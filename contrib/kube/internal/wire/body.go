package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	kjson "sigs.k8s.io/json"
	sigsyaml "sigs.k8s.io/yaml"
)

const (
	// LargestBody is that of an API server.
	LargestBody = 3 << 20
	// LargestYAML is smaller: a tree of YAML takes many times its text.
	LargestYAML = 512 << 10
)

// ReadBody reads a request's body, up to a limit.
func (a *Answer) ReadBody(limit int64) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(a.Writer, a.Request.Body, limit))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, apierrors.NewRequestEntityTooLargeError(fmt.Sprintf("limit is %d", limit))
	}
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	return body, nil
}

// ContentType is the media type of a request's body; empty means JSON.
func (a *Answer) ContentType() string {
	text := a.Request.Header.Get("Content-Type")
	mediaType, _, err := mime.ParseMediaType(text)
	if err != nil && text != "" {
		return text
	}
	if mediaType == "" {
		return JSON
	}
	return mediaType
}

// A Decoder reads the bodies of writes.
type Decoder struct {
	strict   bool // unknown and duplicate fields are errors
	warn     func(string)
	protobuf *protobuf.Serializer
}

// Decoder returns the decoder that the parameter fieldValidation asks for. Without
// it, what is unknown is warned about.
func (a *Answer) Decoder(fieldValidation string) Decoder {
	d := Decoder{warn: func(string) {}, protobuf: protobuf.NewSerializer(a.Scheme, a.Scheme)}
	switch fieldValidation {
	case metav1.FieldValidationStrict:
		d.strict = true
	case metav1.FieldValidationIgnore:
	default:
		d.warn = a.Warn
	}
	return d
}

// DecodeBody reads the body into an object of that kind.
func (a *Answer) DecodeBody(d Decoder, into runtime.Object, kind schema.GroupVersionKind) error {
	body, err := a.ReadBody(LargestBody)
	if err != nil {
		return err
	}
	switch a.ContentType() {
	case JSON:
	case YAML:
		if body, err = d.YAMLToJSON(body); err != nil {
			return apierrors.NewBadRequest(err.Error())
		}
	case Protobuf:
		return d.decodeProtobuf(body, into, kind)
	default:
		return UnsupportedMediaType(JSON, YAML, Protobuf)
	}
	return d.decodeJSON(body, into, kind)
}

// UnsupportedMediaType is the answer to a body of another type.
func UnsupportedMediaType(accepted ...string) error {
	return Error(http.StatusUnsupportedMediaType, metav1.StatusReasonUnsupportedMediaType,
		"the body of the request was in an unknown format - accepted media types include: %s", strings.Join(accepted, ", "))
}

// deepest is how deep values may be nested: no part of a Job is half as deep, and
// what is done to a value may cost the square of its depth.
const deepest = 100

// CheckDepth refuses JSON that is nested too deeply.
func CheckDepth(body []byte) error {
	depth, inString := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case c == '"':
			inString = !inString
		case inString && c == '\\':
			i++
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > deepest {
				return BadRequest("the body is nested over %d levels deep", deepest)
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return nil
}

// decodeJSON reads an object, which may leave out its kind but not have another.
func (d Decoder) decodeJSON(body []byte, into runtime.Object, kind schema.GroupVersionKind) error {
	if err := CheckDepth(body); err != nil {
		return err
	}
	if err := checkKind(body, kind); err != nil {
		return err
	}
	strict, err := kjson.UnmarshalStrict(body, into)
	if err != nil {
		return cannotBeHandled(kind, err)
	}
	if err := d.Complain(strict); err != nil {
		return cannotBeHandled(kind, err)
	}
	return nil
}

// Complain reports what is wrong with fields in the way that was asked for.
func (d Decoder) Complain(strict []error) error {
	if len(strict) == 0 {
		return nil
	}
	if d.strict {
		return runtime.NewStrictDecodingError(strict)
	}
	for _, err := range strict {
		d.warn(err.Error())
	}
	return nil
}

func checkKind(body []byte, kind schema.GroupVersionKind) error {
	var meta metav1.TypeMeta
	if err := kjson.UnmarshalCaseSensitivePreserveInts(body, &meta); err != nil {
		return Unrecognized(kind, err, body)
	}
	return sameKind(meta.GroupVersionKind(), kind)
}

// sameKind refuses an object of another kind than the path's.
func sameKind(got, kind schema.GroupVersionKind) error {
	switch {
	case got.Kind != "" && got.Kind != kind.Kind || got.Kind != "" && got.Group != kind.Group && got.Version != "":
		return BadRequest("%s in version %q cannot be handled as a %s: converting (%s) to (%s): unknown conversion",
			got.Kind, got.Version, kind.Kind, got, kind)
	case got.Version != "" && got.GroupVersion() != kind.GroupVersion():
		return BadRequest("the API version in the data (%s) does not match the expected API version (%s)",
			got.GroupVersion(), kind.GroupVersion())
	}
	return nil
}

func cannotBeHandled(kind schema.GroupVersionKind, err error) error {
	return BadRequest("%s in version %q cannot be handled as a %s: %v", kind.Kind, kind.Version, kind.Kind, err)
}

// Unrecognized is the answer to a body that does not read as an object.
func Unrecognized(kind schema.GroupVersionKind, err error, body []byte) error {
	return BadRequest("the object provided is unrecognized (must be of type %s): %v (%q)",
		kind.Kind, err, body[:min(len(body), 30)])
}

func (d Decoder) decodeProtobuf(body []byte, into runtime.Object, kind schema.GroupVersionKind) error {
	_, got, err := d.protobuf.Decode(body, &kind, into)
	if err != nil {
		if got != nil && got.Kind != "" {
			return cannotBeHandled(kind, err)
		}
		return Unrecognized(kind, err, body)
	}
	return sameKind(*got, kind)
}

// YAMLToJSON converts a document. One with aliases is refused: a few lines of
// them can stand for gigabytes, and clients resolve them before they send.
func (d Decoder) YAMLToJSON(body []byte) ([]byte, error) {
	if len(body) > LargestYAML {
		return nil, fmt.Errorf("YAML body is over the limit of %d bytes", LargestYAML)
	}
	var root yaml.Node
	if bytes.ContainsAny(body, "&*") {
		if err := yaml.Unmarshal(body, &root); err != nil {
			return nil, err
		}
		if hasAlias(&root) {
			return nil, errors.New("YAML aliases are not supported")
		}
	}
	if d.strict {
		return sigsyaml.YAMLToJSONStrict(body)
	}
	return sigsyaml.YAMLToJSON(body)
}

func hasAlias(n *yaml.Node) bool {
	if n.Kind == yaml.AliasNode {
		return true
	}
	return slices.ContainsFunc(n.Content, hasAlias)
}
