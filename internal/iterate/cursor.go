package iterate

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"
)

// A CursorError reports a cursor that cannot be saved, because JSON has no form
// for it or does not bring it back as it was. That would be so of a string that
// is not UTF-8: []byte can hold it.
type CursorError struct {
	Cursor any
	Err    error
}

// Error says what is wrong with the cursor.
func (e *CursorError) Error() string { return fmt.Sprintf("cursor %v: %v", e.Cursor, e.Err) }

// Unwrap returns what is wrong with it.
func (e *CursorError) Unwrap() error { return e.Err }

// checkCursor returns an error unless the cursor can be saved.
func checkCursor[C any](cursor C, equal func(a, b C) bool) error {
	data, err := json.Marshal(cursor)
	if err != nil {
		return &CursorError{cursor, err}
	}
	var back C
	if err := json.Unmarshal(data, &back); err != nil {
		return &CursorError{cursor, err}
	}
	if !equal(cursor, back) {
		return &CursorError{cursor, errors.New("JSON does not bring it back as it was")}
	}
	return nil
}

// equality returns the function that tells whether two cursors are the same:
// by the method Equal of C, if it has one that is safe to call, else by value.
func equality[C any]() func(a, b C) bool {
	t := reflect.TypeFor[C]()
	var zero C
	if _, ok := any(zero).(interface{ Equal(C) bool }); ok && t.Kind() != reflect.Pointer {
		return func(a, b C) bool { return any(a).(interface{ Equal(C) bool }).Equal(b) }
	}
	if plain(t) {
		return func(a, b C) bool { return any(a) == any(b) }
	}
	return func(a, b C) bool { return same(reflect.ValueOf(&a).Elem(), reflect.ValueOf(&b).Elem()) }
}

// plain reports whether == compares all that a value of the type says.
func plain(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Struct:
		for field := range t.Fields() {
			if !plain(field.Type) {
				return false
			}
		}
		return true
	case reflect.Array:
		return plain(t.Elem())
	default:
		return t.Kind() <= reflect.Complex128 || t.Kind() == reflect.String
	}
}

var timeType = reflect.TypeFor[time.Time]()

// same is reflect.DeepEqual except that times are compared as such: JSON does
// not bring back the name of a time zone.
func same(a, b reflect.Value) bool {
	if a.Type() == timeType && a.CanInterface() {
		return a.Interface().(time.Time).Equal(b.Interface().(time.Time))
	}
	switch a.Kind() {
	case reflect.Struct:
		return sameFields(a, b)
	case reflect.Pointer, reflect.Interface:
		if a.IsNil() || b.IsNil() {
			return a.IsNil() == b.IsNil()
		}
		a, b = a.Elem(), b.Elem()
		return a.Type() == b.Type() && same(a, b)
	case reflect.Slice, reflect.Array:
		return sameElements(a, b)
	case reflect.Map:
		return sameEntries(a, b)
	default:
		return a.Comparable() && a.Equal(b)
	}
}

func sameFields(a, b reflect.Value) bool {
	for i := range a.NumField() {
		if !same(a.Field(i), b.Field(i)) {
			return false
		}
	}
	return true
}

// sameElements does not tell an empty slice from a nil one.
func sameElements(a, b reflect.Value) bool {
	if a.Len() != b.Len() {
		return false
	}
	for i := range a.Len() {
		if !same(a.Index(i), b.Index(i)) {
			return false
		}
	}
	return true
}

func sameEntries(a, b reflect.Value) bool {
	if a.Len() != b.Len() {
		return false
	}
	for key, value := range a.Seq2() {
		if other := b.MapIndex(key); !other.IsValid() || !same(value, other) {
			return false
		}
	}
	return true
}
