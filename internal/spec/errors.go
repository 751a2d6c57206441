package spec

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/runtocompletion/batch/internal/names"
)

// A FieldError says what is wrong with one field. Its fields are those of the public
// type.
type FieldError struct {
	Field, Kind string
	Value       any
	Detail      string
}

// Error names the field by its path in a manifest, as Kubernetes does. Durations are in
// seconds.
func (e FieldError) Error() string {
	value := ""
	if e.Value != nil {
		value = valueText(e.Value)
	}
	return e.text(e.Field, value, e.Detail)
}

// GoText is Error for who has written the job in Go.
func (e FieldError) GoText() string {
	value := ""
	if d, ok := e.Value.(time.Duration); ok {
		value = d.String()
	} else if e.Value != nil {
		value = valueText(e.Value)
	}
	return e.text(names.GoField(e.Field), value, names.GoDetail(e.Field, e.Detail))
}

func (e FieldError) text(field, value, detail string) string {
	text := field + ": " + cmp.Or(kindTexts[e.Kind], e.Kind)
	for _, part := range []string{value, detail} {
		if part != "" {
			text += ": " + part
		}
	}
	return text
}

var kindTexts = map[string]string{
	"Required":     "Required value",
	"Invalid":      "Invalid value",
	"NotSupported": "Unsupported value",
	"TooLong":      "Too long",
	"TooMany":      "Too many",
	"Duplicate":    "Duplicate value",
}

func valueText(value any) string {
	switch v := value.(type) {
	case Raw:
		return string(v)
	case string:
		return strconv.Quote(v)
	case time.Duration:
		return strconv.FormatFloat(v.Seconds(), 'f', -1, 64)
	}
	return fmt.Sprint(value)
}

// Raw is a value that a FieldError shows as it is.
type Raw string

const (
	// SomeObject stands for a value that is not shown.
	SomeObject Raw = "{...}"

	null Raw = "null"
)

func valueOrNull[T any](p *T) any {
	if p == nil {
		return null
	}
	return *p
}

func objectOrNull[T any](p []T) any {
	if p == nil {
		return null
	}
	return SomeObject
}

// Required is the error of a field without a value.
func Required(path, detail string) FieldError {
	return FieldError{Field: path, Kind: "Required", Detail: detail}
}

// Invalid is the error of a field whose value cannot be used.
func Invalid(path string, value any, detail string) FieldError {
	return FieldError{Field: path, Kind: "Invalid", Value: value, Detail: detail}
}

// Forbidden is the error of a field that may not have a value, or not that one.
func Forbidden(path string, value any, detail string) FieldError {
	return FieldError{Field: path, Kind: "Forbidden", Value: value, Detail: detail}
}

// invalidEach returns an error for each text of a check of package names.
func invalidEach(path, value string, texts []string) []FieldError {
	var errs []FieldError
	for _, text := range texts {
		errs = append(errs, Invalid(path, value, text))
	}
	return errs
}

func nonNegative[T int | time.Duration](path string, value *T) []FieldError {
	if value == nil || *value >= 0 {
		return nil
	}
	return []FieldError{Invalid(path, *value, "must be greater than or equal to 0")}
}

// oneOf wants one of the known values of an enumeration.
func oneOf(path, value string, known ...string) []FieldError {
	switch {
	case slices.Contains(known, value):
		return nil
	case value == "":
		return []FieldError{Required(path, fmt.Sprintf("valid values: %q", known))}
	}
	quoted := make([]string, len(known))
	for i, k := range known {
		quoted[i] = strconv.Quote(k)
	}
	return []FieldError{{
		Field: path, Kind: "NotSupported", Value: value, Detail: "supported values: " + strings.Join(quoted, ", "),
	}}
}

func immutable(path string, same bool, value any) []FieldError {
	if same {
		return nil
	}
	return []FieldError{Invalid(path, value, "field is immutable")}
}
