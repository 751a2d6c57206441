package wire

import (
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kjson "sigs.k8s.io/json"
)

// IsTrue reads a boolean of a query string as an API server does: absent, "0"
// and "false" are false, and all else is true.
func IsTrue(params url.Values, name string) bool {
	values, ok := params[name]
	return ok && len(values) > 0 && values[0] != "0" && !strings.EqualFold(values[0], "false")
}

// Manager is the name under which changes are recorded: the one given, or the
// client's.
func (a *Answer) Manager(name string) string {
	if name != "" {
		return name
	}
	agent, _, _ := strings.Cut(a.Request.UserAgent(), "/")
	agent = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, agent)
	if agent == "" {
		return "unknown"
	}
	return agent[:min(len(agent), metavalidation.FieldManagerMaxLength)]
}

// DeleteOptions reads how something is to be deleted: from the body or, without
// one, from the query.
func (a *Answer) DeleteOptions(params url.Values) (*metav1.DeleteOptions, error) {
	body, err := a.ReadBody(LargestBody)
	if err != nil {
		return nil, err
	}
	options := new(metav1.DeleteOptions)
	if len(body) > 0 {
		err = a.decodeDeleteOptions(body, options)
	} else if err = metav1.Convert_url_Values_To_v1_DeleteOptions(&params, options, nil); err != nil {
		err = BadRequest("%v", err)
	}
	if err != nil {
		return nil, err
	}
	if len(options.DryRun) == 0 {
		options.DryRun = params["dryRun"]
	}
	return options, InvalidOptions("DeleteOptions", metavalidation.ValidateDeleteOptions(options))
}

func (a *Answer) decodeDeleteOptions(body []byte, options *metav1.DeleteOptions) error {
	d := a.Decoder(metav1.FieldValidationIgnore)
	kind := metav1.SchemeGroupVersion.WithKind("DeleteOptions")
	switch a.ContentType() {
	case Protobuf:
		if _, _, err := d.protobuf.Decode(body, &kind, options); err != nil {
			return Unrecognized(kind, err, body)
		}
		return nil
	case YAML:
		var err error
		if body, err = d.YAMLToJSON(body); err != nil {
			return BadRequest("%v", err)
		}
	case JSON:
	default:
		return UnsupportedMediaType(JSON, YAML, Protobuf)
	}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(body, options); err != nil {
		return Unrecognized(kind, err, body)
	}
	if options.Kind != "" && options.Kind != kind.Kind {
		return BadRequest("decoded object cannot be converted to DeleteOptions: %s", options.GroupVersionKind())
	}
	return nil
}

// Streams limit how many answers without an end there are at once.
type Streams chan struct{}

// Enter waits for nothing: if there are too many already, that is the error.
func (s Streams) Enter() (leave func(), err error) {
	select {
	case s <- struct{}{}:
		return func() { <-s }, nil
	default:
		return nil, tooManyStreams()
	}
}

// The content types of bodies.
const (
	JSON     = "application/json"
	YAML     = "application/yaml"
	Protobuf = "application/vnd.kubernetes.protobuf"
)

// A Shape is a form in which objects can be asked for.
type Shape int

// The shapes.
const (
	Whole        Shape = iota
	AsTable            // as=Table
	AsMetadata         // as=PartialObjectMetadata(List)
	AsDiscovery2       // as=APIGroupDiscoveryList, v=v2
	AsProtobuf         // whole, in another encoding than JSON
)

// mostAlternatives is how many media types of an Accept header are looked at.
const mostAlternatives = 32

// Negotiate picks the first of the accepted forms that is among those offered.
// No preference is one for JSON.
func Negotiate(r *http.Request, offered ...Shape) (Shape, error) {
	accept := strings.Join(r.Header["Accept"], ",")
	if strings.TrimSpace(accept) == "" {
		return Whole, nil
	}
	for i, text := range strings.Split(accept, ",") {
		if i == mostAlternatives {
			break
		}
		if s, ok := shapeOf(text); ok && contains(offered, s) {
			return s, nil
		}
	}
	return Whole, apierrors.NewGenericServerResponse(http.StatusNotAcceptable, "", schema.GroupResource{}, "",
		"only the following media types are accepted: application/json", 0, false)
}

func contains(offered []Shape, s Shape) bool {
	return slices.Contains(append(offered, Whole), s)
}

// shapeOf reads one media type of an Accept header.
func shapeOf(text string) (Shape, bool) {
	mediaType, params, err := mime.ParseMediaType(text)
	if err != nil {
		return Whole, false
	}
	switch mediaType {
	case JSON, "application/*", "*/*":
	default:
		return AsProtobuf, mediaType == Protobuf && params["as"] == ""
	}
	group, version := params["g"], params["v"]
	switch as := params["as"]; {
	case as == "":
		return Whole, true
	case as == "Table" && group == "meta.k8s.io" && version == "v1":
		return AsTable, true
	case (as == "PartialObjectMetadata" || as == "PartialObjectMetadataList") && group == "meta.k8s.io" && version == "v1":
		return AsMetadata, true
	case as == "APIGroupDiscoveryList" && group == "apidiscovery.k8s.io" && version == "v2":
		return AsDiscovery2, true
	}
	return Whole, false
}
