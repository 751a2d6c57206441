package api

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
	jsonType     = "application/json"
	yamlType     = "application/yaml"
	protobufType = "application/vnd.kubernetes.protobuf"
)

// A shape is a form in which objects can be asked for.
type shape int

const (
	whole        shape = iota
	asTable            // as=Table
	asMetadata         // as=PartialObjectMetadata(List)
	asDiscovery2       // as=APIGroupDiscoveryList, v=v2
	asDiscovery2beta1
)

// mostAlternatives is how many media types of an Accept header are looked at.
const mostAlternatives = 32

// negotiate picks the first of the accepted forms that is among those offered.
// No preference is one for JSON.
func negotiate(r *http.Request, offered ...shape) (shape, error) {
	accept := strings.Join(r.Header["Accept"], ",")
	if strings.TrimSpace(accept) == "" {
		return whole, nil
	}
	for i, text := range strings.Split(accept, ",") {
		if i == mostAlternatives {
			break
		}
		if s, ok := shapeOf(text); ok && contains(offered, s) {
			return s, nil
		}
	}
	return whole, apierrors.NewGenericServerResponse(http.StatusNotAcceptable, "", schema.GroupResource{}, "",
		"only the following media types are accepted: application/json", 0, false)
}

func contains(offered []shape, s shape) bool {
	return slices.Contains(append(offered, whole), s)
}

// shapeOf reads one media type of an Accept header.
func shapeOf(text string) (shape, bool) {
	mediaType, params, err := mime.ParseMediaType(text)
	if err != nil {
		return whole, false
	}
	switch mediaType {
	case jsonType, "application/*", "*/*":
	default:
		return whole, false
	}
	group, version := params["g"], params["v"]
	switch as := params["as"]; {
	case as == "":
		return whole, true
	case as == "Table" && group == "meta.k8s.io" && version == "v1":
		return asTable, true
	case (as == "PartialObjectMetadata" || as == "PartialObjectMetadataList") && group == "meta.k8s.io" && version == "v1":
		return asMetadata, true
	case as == "APIGroupDiscoveryList" && group == "apidiscovery.k8s.io" && version == "v2":
		return asDiscovery2, true
	case as == "APIGroupDiscoveryList" && group == "apidiscovery.k8s.io" && version == "v2beta1":
		return asDiscovery2beta1, true
	}
	return whole, false
}
