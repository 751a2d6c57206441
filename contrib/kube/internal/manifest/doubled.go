package manifest

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// doubledKeys finds keys that a mapping has twice: of these only the last one
// would be seen. The errors are those of the API server for JSON.
func doubledKeys(document []byte) ([]error, error) {
	var root yaml.Node
	if err := yaml.Unmarshal(document, &root); err != nil {
		return nil, err
	}
	var errs []error
	walk(&root, "", func(path string) {
		errs = append(errs, fmt.Errorf("duplicate field %q", path))
	})
	return errs, nil
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
