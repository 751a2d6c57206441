package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"
)

// doubledKeys finds keys that a mapping has twice: of these only the last one
// would be seen. The errors are those of the API server for JSON.
func doubledKeys(document []byte) ([]error, error) {
	var root yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(document))
	if err := decoder.Decode(&root); err == io.EOF {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	// Of several documents only the first would be read.
	if err := decoder.Decode(new(yaml.Node)); err != io.EOF {
		return nil, errors.New("something follows the first object: objects are to be separated by lines of ---")
	}
	var errs []error
	walk(&root, "", func(path string) {
		errs = append(errs, fmt.Errorf("duplicate field %q", path))
	})
	return errs, checkAliases(&root)
}

// walk calls doubled with the path of each key that is not the first of its
// name. What an alias stands for is walked over where its anchor is.
func walk(n *yaml.Node, path string, doubled func(path string)) {
	switch n.Kind {
	case yaml.DocumentNode:
		for _, child := range n.Content {
			walk(child, path, doubled)
		}
	case yaml.SequenceNode:
		for i, child := range n.Content {
			walk(child, fmt.Sprintf("%s[%d]", path, i), doubled)
		}
	case yaml.MappingNode:
		walkMapping(n, path, doubled)
	}
}

func walkMapping(n *yaml.Node, path string, doubled func(path string)) {
	seen := make(map[string]bool, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		at := key.Value
		if path != "" {
			at = path + "." + key.Value
		}
		if key.Kind == yaml.ScalarNode && key.Tag != "!!merge" {
			if seen[key.Value] {
				doubled(at)
			}
			seen[key.Value] = true
		}
		walk(n.Content[i+1], at, doubled)
	}
}

// maxMeant is how many bytes a document may stand for when each alias is replaced
// by what it means. One without aliases has never more.
const maxMeant = 2 * MaxSize

// checkAliases refuses a document that is small and means much.
func checkAliases(root *yaml.Node) error {
	if size(root, make(map[*yaml.Node]int)) > maxMeant {
		return fmt.Errorf("with its aliases replaced the document has more than %d bytes", maxMeant)
	}
	return nil
}

// size is what a node comes to with all aliases replaced, or anything above
// maxMeant. What is known of anchors is kept; one that contains itself has no end.
func size(n *yaml.Node, known map[*yaml.Node]int) int {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if total, ok := known[n]; ok {
		return total
	}
	if n.Anchor != "" {
		known[n] = maxMeant + 1 // if it is met again before its end
	}
	total := 1 + len(n.Value)
	for _, child := range n.Content {
		total = min(total+size(child, known), maxMeant+1)
	}
	if n.Anchor != "" {
		known[n] = total
	}
	return total
}
