package validation

import (
	"reflect"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// VolumeKinds are the names of the sources that a volume has, as in a manifest,
// in the order of the type's fields. A good volume has one.
func VolumeKinds(source *corev1.VolumeSource) []string {
	var kinds []string
	value := reflect.ValueOf(*source)
	for i := range value.NumField() {
		if !value.Field(i).IsNil() {
			name, _, _ := strings.Cut(value.Type().Field(i).Tag.Get("json"), ",")
			kinds = append(kinds, name)
		}
	}
	return kinds
}
