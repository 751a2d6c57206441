package validation

import "reflect"

// inMemory gives a value in the form in which the API server shows policies that
// are at fault: as it has them in memory, where fields have no names but those
// of Go and none is left out.
func inMemory(value any) any { return untagged(reflect.ValueOf(value)).Interface() }

func untagged(v reflect.Value) reflect.Value {
	t := untaggedType(v.Type())
	out := reflect.New(t).Elem()
	switch {
	case t == v.Type():
		return v
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			out.Field(i).Set(untagged(v.Field(i)))
		}
	case v.IsNil(): // a pointer, or a slice
	case v.Kind() == reflect.Pointer:
		out.Set(reflect.New(t.Elem()))
		out.Elem().Set(untagged(v.Elem()))
	default:
		out.Set(reflect.MakeSlice(t, v.Len(), v.Len()))
		for i := range v.Len() {
			out.Index(i).Set(untagged(v.Index(i)))
		}
	}
	return out
}

// untaggedType is t without the tags of the structs that it is made of.
func untaggedType(t reflect.Type) reflect.Type {
	switch t.Kind() {
	case reflect.Pointer:
		return reflect.PointerTo(untaggedType(t.Elem()))
	case reflect.Slice:
		return reflect.SliceOf(untaggedType(t.Elem()))
	case reflect.Struct:
		fields := make([]reflect.StructField, t.NumField())
		for i := range fields {
			fields[i] = reflect.StructField{Name: t.Field(i).Name, Type: untaggedType(t.Field(i).Type)}
		}
		return reflect.StructOf(fields)
	}
	return t
}
