package wire

import (
	"mime"
	"net/http"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

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
