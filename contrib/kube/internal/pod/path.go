package pod

import "strings"

// mentions reports whether a path stands in any of the texts.
func mentions(texts []string, path string) bool {
	for _, text := range texts {
		if replacePath(text, path, "") != text {
			return true
		}
	}
	return false
}

func replaceIn(texts []string, path, by string) {
	for i, text := range texts {
		texts[i] = replacePath(text, path, by)
	}
}

// replacePath replaces a path where it stands alone, that is not as a part of a
// longer one.
func replacePath(text, path, by string) string {
	if path == "" {
		return text
	}
	var b strings.Builder
	last := byte(0) // what comes before text
	for {
		before, after, found := strings.Cut(text, path)
		b.WriteString(before)
		if !found {
			return b.String()
		}
		if before != "" {
			last = before[len(before)-1]
		}
		if inPath(last) || after != "" && inPath(after[0]) {
			b.WriteString(path)
		} else {
			b.WriteString(by)
		}
		last, text = path[len(path)-1], after
	}
}

// inPath reports whether a byte may belong to a longer path.
func inPath(c byte) bool {
	return c == '/' || c == '.' || c == '-' || c == '_' || c >= 0x80 ||
		'0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
