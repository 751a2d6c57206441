// Package fields treats the fields of a declaration alike, whatever there are: which are
// code, which have changed, and how they are stored. Code is functions, and values of
// interfaces with methods; it is neither compared nor stored.
package fields

import (
	"encoding/json"
	"fmt"
	"reflect"
	"sync"
)

// isCode reports whether a value of the type is code itself.
func isCode(t reflect.Type) bool {
	return t.Kind() == reflect.Func || t.Kind() == reflect.Interface && t.NumMethod() > 0
}

// withCode is, by type, whether hasCode: it is asked of the same few for each job.
var withCode sync.Map

// hasCode reports whether there may be code anywhere in a value of the type.
func hasCode(t reflect.Type) bool {
	if known, ok := withCode.Load(t); ok {
		return known.(bool)
	}
	has := findsCode(t)
	withCode.Store(t, has)
	return has
}

func findsCode(t reflect.Type) bool {
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

// Code returns the code in a value, nil where there is none, in an order that depends on
// nothing but the lengths of slices.
func Code[T any](of *T) []any {
	var code []any
	eachCode(reflect.ValueOf(of).Elem(), func(field reflect.Value) {
		if field.IsNil() {
			code = append(code, nil)
		} else {
			code = append(code, field.Interface())
		}
	})
	return code
}

// SetCode undoes Code. Without any code, all of it is made nil.
func SetCode[T any](to *T, code []any) {
	eachCode(reflect.ValueOf(to).Elem(), func(field reflect.Value) {
		field.SetZero()
		if len(code) > 0 {
			if code[0] != nil {
				field.Set(reflect.ValueOf(code[0]))
			}
			code = code[1:]
		}
	})
}

// eachCode looks into structs and slices.
func eachCode(value reflect.Value, do func(reflect.Value)) {
	switch t := value.Type(); {
	case isCode(t):
		do(value)
	case !hasCode(t):
	case t.Kind() == reflect.Struct:
		for i := range value.NumField() {
			eachCode(value.Field(i), do)
		}
	case t.Kind() == reflect.Slice:
		for i := range value.Len() {
			eachCode(value.Index(i), do)
		}
	}
}

// Clone returns a deep copy. Code is shared, and so are what interfaces hold and fields
// that are not exported.
func Clone[T any](of *T) T {
	c := *of
	detach(reflect.ValueOf(&c).Elem())
	return c
}

// detach puts copies in the places of what a value points to.
func detach(value reflect.Value) {
	switch value.Kind() {
	case reflect.Struct:
		for i := range value.NumField() {
			if field := value.Field(i); field.CanSet() {
				detach(field)
			}
		}
		return
	case reflect.Pointer, reflect.Slice, reflect.Map:
		if value.IsNil() {
			return
		}
	}
	switch t := value.Type(); t.Kind() {
	case reflect.Pointer:
		c := reflect.New(t.Elem())
		c.Elem().Set(value.Elem())
		detach(c.Elem())
		value.Set(c)
	case reflect.Slice:
		c := reflect.MakeSlice(t, value.Len(), value.Len())
		reflect.Copy(c, value)
		for i := range c.Len() {
			detach(c.Index(i))
		}
		value.Set(c)
	case reflect.Map:
		c := reflect.MakeMapWithSize(t, value.Len())
		for key, element := range value.Seq2() {
			c.SetMapIndex(key, element)
		}
		value.Set(c)
	}
}

func each[T any](of *T, do func(i int, field reflect.Value)) {
	value := reflect.ValueOf(of).Elem()
	for i := range value.NumField() {
		do(i, value.Field(i))
	}
}

// Difference returns the fields of now that are not as in base, as JSON; nil if all are.
// Fields that JSON is not to have, which are those that are code, are left out.
func Difference[T any](now, base *T) []byte {
	var data []byte
	each(now, func(i int, field reflect.Value) {
		info := reflect.TypeFor[T]().Field(i)
		if info.Tag == `json:"-"` || isSame(field, reflect.ValueOf(base).Elem().Field(i)) {
			return
		}
		value, _ := json.Marshal(field.Interface()) // cannot fail: it has nothing that JSON lacks but code
		data = append(append(append(append(data, `,"`...), info.Name...), `":`...), value...)
	})
	if data == nil {
		return nil
	}
	data[0] = '{'
	return append(data, '}')
}

// isSame is reflect.DeepEqual, faster for most fields of a declaration.
func isSame(a, b reflect.Value) bool {
	switch {
	case a.Kind() == reflect.String:
		return a.String() == b.String()
	case a.IsZero() || b.IsZero():
		return a.IsZero() && b.IsZero()
	case a.Kind() == reflect.Pointer && a.Elem().CanInt():
		return a.Elem().Int() == b.Elem().Int()
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
}

// Patch undoes Difference: to is the base.
func Patch[T any](to *T, difference []byte) error {
	var changed map[string]json.RawMessage
	if err := json.Unmarshal(difference, &changed); err != nil {
		return err
	}
	for name, data := range changed {
		field := reflect.ValueOf(to).Elem().FieldByName(name)
		if !field.IsValid() {
			return fmt.Errorf("no field %q", name)
		}
		field.SetZero()
		if err := json.Unmarshal(data, field.Addr().Interface()); err != nil {
			return fmt.Errorf("field %s: %w", name, err)
		}
	}
	return nil
}
