package validation

import (
	"reflect"
	"slices"
	"strings"

	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// A checker collects what is wrong with an object.
type checker struct{ errs field.ErrorList }

func (c *checker) add(errs ...*field.Error) { c.errs = append(c.errs, errs...) }

// A rule says what is wrong with the value of one field.
type rule func(value reflect.Value, at *field.Path) field.ErrorList

// fieldRules are those of fields that need nothing else to be looked at, by the types of
// the objects that have them and their names in a manifest.
type fieldRules map[reflect.Type]map[string]rule

// of is a type as the key of a table.
func of[T any]() reflect.Type { return reflect.TypeFor[T]() }

// required wants a value, and then what the other rules want.
func required(others ...rule) rule {
	return func(v reflect.Value, at *field.Path) (errs field.ErrorList) {
		if v.IsZero() {
			return field.ErrorList{field.Required(at, "")}
		}
		for _, other := range others {
			errs = append(errs, other(v, at)...)
		}
		return errs
	}
}

// optional is a rule for values that are there.
func optional(other rule) rule {
	return func(v reflect.Value, at *field.Path) field.ErrorList {
		if v.IsZero() {
			return nil
		}
		return other(reflect.Indirect(v), at)
	}
}

// text is a check of package util/validation for texts, and number one for numbers.
func text(check func(string) []string) rule {
	return func(v reflect.Value, at *field.Path) field.ErrorList {
		return invalidEach(at, v.String(), check(v.String()))
	}
}

func number(check func(int) []string) rule {
	return func(v reflect.Value, at *field.Path) field.ErrorList {
		return invalidEach(at, v.Int(), check(int(v.Int())))
	}
}

func nonNegative(v reflect.Value, at *field.Path) field.ErrorList {
	return apivalidation.ValidateNonnegativeField(v.Int(), at)
}

// known wants one of the values of an enumeration; an empty one is just another wrong
// one, where it is not required.
func known[T ~string](values ...T) rule {
	return func(v reflect.Value, at *field.Path) field.ErrorList {
		if slices.Contains(values, T(v.String())) {
			return nil
		}
		return field.ErrorList{field.NotSupported(at, T(v.String()), values)}
	}
}

// fields looks at all fields of an object that the table has rules for, and of the objects
// in it, in their order. Types that opaque has are not looked into.
func (c *checker) fields(object any, at *field.Path) {
	c.object(reflect.ValueOf(object).Elem(), reflect.TypeOf(object).Elem(), at)
}

func (c *checker) object(v reflect.Value, owner reflect.Type, at *field.Path) {
	for f, value := range v.Fields() {
		switch name, _, _ := strings.Cut(f.Tag.Get("json"), ","); {
		case name == "" && f.Anonymous && value.Kind() == reflect.Struct:
			c.object(value, owner, at)
		case name != "" && name != "-":
			child := at.Child(name)
			if rule := podRules[owner][name]; rule != nil {
				c.add(rule(value, child)...)
			}
			c.within(value, child)
		}
	}
}

func (c *checker) within(v reflect.Value, at *field.Path) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			c.within(v.Elem(), at)
		}
	case reflect.Struct:
		if t := v.Type(); !opaque[t] {
			c.object(v, t, at)
		}
	case reflect.Slice:
		for i := range v.Len() {
			c.within(v.Index(i), at.Index(i))
		}
	}
}
