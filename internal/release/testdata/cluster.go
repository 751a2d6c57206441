// Command user is a program that uses package cluster.
package main

import _ "github.com/runtocompletion/batch/contrib/cluster"

func main() {}
