// Package seq converts what a sequence or a slice has, one by one.
package seq

import "iter"

// Each returns what convert makes of the values of a sequence.
func Each[A, B any](of iter.Seq[A], convert func(A) B) iter.Seq[B] {
	return func(yield func(B) bool) {
		for a := range of {
			if !yield(convert(a)) {
				return
			}
		}
	}
}

// EachUntilError is Each for a sequence that ends with its first error.
func EachUntilError[A, B any](of iter.Seq2[A, error], convert func(A) B) iter.Seq2[B, error] {
	return func(yield func(B, error) bool) {
		for a, err := range of {
			if err != nil {
				var zero B
				yield(zero, err)
				return
			}
			if !yield(convert(a), nil) {
				return
			}
		}
	}
}

// Slice returns what convert makes of the values of a slice; nil if there are none.
func Slice[A, B any](of []A, convert func(A) B) []B {
	if len(of) == 0 {
		return nil
	}
	converted := make([]B, len(of))
	for i, a := range of {
		converted[i] = convert(a)
	}
	return converted
}
