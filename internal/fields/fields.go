// Package fields knows which fields of a declaration are code: functions, and values of
// interfaces with methods. Code is neither compared nor stored, so what copies, merges or
// shows declarations has to treat it apart, whatever fields there are.
package fields

import "reflect"

// isCode reports whether a value of the type is code itself.
func isCode(t reflect.Type) bool {
	return t.Kind() == reflect.Func || t.Kind() == reflect.Interface && t.NumMethod() > 0
}

// hasCode reports whether there may be code anywhere in a value of the type.
func hasCode(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Slice, reflect.Array, reflect.Pointer, reflect.Map:
		return hasCode(t.Elem())
	case reflect.Struct:
		for field := range t.Fields() {
			if hasCode(field.Type) {
				return true
			}
		}
	}
	return isCode(t)
}

// Merge gives to the fields that have changed from was to now, and those with code: of
// them it cannot be said whether they have.
func Merge[T any](to, now, was *T) {
	each(to, func(i int, field reflect.Value) {
		is := reflect.ValueOf(now).Elem().Field(i)
		before := reflect.ValueOf(was).Elem().Field(i)
		if hasCode(field.Type()) || !reflect.DeepEqual(is.Interface(), before.Interface()) {
			field.Set(is)
		}
	})
}

// Drop makes all fields with code zero.
func Drop[T any](of *T) {
	each(of, func(_ int, field reflect.Value) {
		if hasCode(field.Type()) {
			field.SetZero()
		}
	})
}

// Give gives to the fields of from that are code.
func Give[T any](to, from *T) {
	each(to, func(i int, field reflect.Value) {
		if isCode(field.Type()) {
			field.Set(reflect.ValueOf(from).Elem().Field(i))
		}
	})
}

func each[T any](of *T, do func(i int, field reflect.Value)) {
	value := reflect.ValueOf(of).Elem()
	for i := range value.NumField() {
		do(i, value.Field(i))
	}
}
