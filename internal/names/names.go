// Package names checks the strings whose form Kubernetes restricts. Each
// function returns one text, in Kubernetes' words, for each thing that is wrong
// with a string, and nil for a good one.
package names

import "strings"

// MaxLabel and MaxSubdomain are how many bytes a label, a label value or the
// name part of a qualified name may have, and a subdomain.
const (
	MaxLabel     = 63
	MaxSubdomain = 253
)

// The forms as regular expressions. They are part of the texts.
const (
	labelForm     = `[a-z0-9]([-a-z0-9]*[a-z0-9])?`
	subdomainForm = labelForm + `(\.` + labelForm + `)*`
	nameForm      = `([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]`
	valueForm     = `(` + nameForm + `)?`
	pathForm      = `[A-Za-z0-9/\-._~%!$&'()*+,;=:]+`
)

const (
	tooLongLabel     = "must be no more than 63 bytes"
	tooLongSubdomain = "must be no more than 253 bytes"

	badLabel = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', " +
		"and must start and end with an alphanumeric character " +
		"(e.g. 'my-name',  or '123-abc', regex used for validation is '" + labelForm + "')"
	badSubdomain = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', " +
		"and must start and end with an alphanumeric character " +
		"(e.g. 'example.com', regex used for validation is '" + subdomainForm + "')"
	badName = "must consist of alphanumeric characters, '-', '_' or '.', " +
		"and must start and end with an alphanumeric character " +
		"(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '" + nameForm + "')"
	badQualified = "a valid label key " + badName +
		" with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
	badValue = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', " +
		"and must start and end with an alphanumeric character " +
		"(e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '" + valueForm + "')"
	badPath = "Invalid path (regex used for validation is '" + pathForm + "')"
)

// Label checks a DNS-1123 label, such as "my-name".
func Label(s string) []string {
	var wrong []string
	if len(s) > MaxLabel {
		wrong = append(wrong, tooLongLabel)
	}
	switch {
	case isLabel(s):
	case isSubdomain(s):
		wrong = append(wrong, "must not contain dots")
	default:
		wrong = append(wrong, badLabel)
	}
	return wrong
}

// Subdomain checks a DNS-1123 subdomain, such as "example.com".
func Subdomain(s string) []string {
	var wrong []string
	if len(s) > MaxSubdomain {
		wrong = append(wrong, tooLongSubdomain)
	}
	if !isSubdomain(s) {
		wrong = append(wrong, badSubdomain)
	}
	return wrong
}

// Qualified checks a name with an optional subdomain before it, such as
// "example.com/MyName": the key of a label or annotation, the type of a
// condition.
func Qualified(s string) []string {
	prefix, name, found := strings.Cut(s, "/")
	if !found {
		return namePart(s)
	}
	if strings.Contains(name, "/") {
		return []string{badQualified}
	}
	return append(prefixPart(prefix), namePart(name)...)
}

func prefixPart(s string) []string {
	if s == "" {
		return []string{"prefix part must be non-empty"}
	}
	wrong := Subdomain(s)
	for i := range wrong {
		wrong[i] = "prefix part " + wrong[i]
	}
	return wrong
}

func namePart(s string) []string {
	var wrong []string
	switch {
	case s == "":
		wrong = append(wrong, "name part must be non-empty")
	case len(s) > MaxLabel:
		wrong = append(wrong, "name part "+tooLongLabel)
	}
	if !isName(s) {
		wrong = append(wrong, "name part "+badName)
	}
	return wrong
}

// LabelValue checks the value of a label, which may be empty.
func LabelValue(s string) []string {
	var wrong []string
	if len(s) > MaxLabel {
		wrong = append(wrong, tooLongLabel)
	}
	if s != "" && !isName(s) {
		wrong = append(wrong, badValue)
	}
	return wrong
}

// Path checks a non-empty HTTP path, here what follows the first slash of
// "example.com/some/path".
func Path(s string) []string {
	const punctuation = "/-._~%!$&'()*+,;=:"
	good := s != "" && every(s, func(c byte) bool {
		return isLower(c) || isUpper(c) || strings.IndexByte(punctuation, c) >= 0
	})
	if good {
		return nil
	}
	return []string{badPath}
}

func isLabel(s string) bool {
	return bounded(s, isLower) && every(s, func(c byte) bool { return isLower(c) || c == '-' })
}

func isSubdomain(s string) bool {
	for label := range strings.SplitSeq(s, ".") {
		if !isLabel(label) {
			return false
		}
	}
	return true
}

func isName(s string) bool {
	letter := func(c byte) bool { return isLower(c) || isUpper(c) }
	return bounded(s, letter) && every(s, func(c byte) bool {
		return letter(c) || c == '-' || c == '_' || c == '.'
	})
}

// bounded reports whether s has a first and a last byte, both of the class.
func bounded(s string, class func(byte) bool) bool {
	return s != "" && class(s[0]) && class(s[len(s)-1])
}

func every(s string, class func(byte) bool) bool {
	for i := range len(s) {
		if !class(s[i]) {
			return false
		}
	}
	return true
}

// isLower reports whether c is a lower-case letter or a digit.
func isLower(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' }

func isUpper(c byte) bool { return 'A' <= c && c <= 'Z' }
