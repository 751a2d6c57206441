package manifest

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

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
