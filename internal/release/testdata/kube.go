// Command user is a program that uses package kube.
package main

import (
	"log"

	"github.com/runtocompletion/batch/contrib/kube"
)

func main() {
	manifests, err := kube.Decode([]byte("apiVersion: batch/v1\nkind: Job\nmetadata: {name: job}\n"))
	if err != nil {
		log.Fatal(err)
	}
	if len(manifests.Jobs) != 1 {
		log.Fatalf("%d manifests", len(manifests.Jobs))
	}
}
