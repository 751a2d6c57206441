package kube

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// kubeconfigName is how a kubeconfig calls its only cluster, user and context.
const kubeconfigName = "batch"

// kubeconfigMark begins every kubeconfig of ours: only such files are replaced.
const kubeconfigMark = "# Written by github.com/runtocompletion/batch. It holds a secret, and is replaced.\n"

// kubeconfigText is a kubeconfig as JSON, which is YAML: a server, its certificate,
// a token and a namespace.
const kubeconfigText = `{
  "apiVersion": "v1", "kind": "Config", "current-context": "batch",
  "clusters": [{"name": "batch", "cluster": {"server": %q, "certificate-authority-data": %q}}],
  "users": [{"name": "batch", "user": {"token": %q}}],
  "contexts": [{"name": "batch", "context": {"cluster": "batch", "user": "batch", "namespace": %q}}]
}
`

// Kubeconfig is the text of a kubeconfig file that leads a client here: the URL,
// the certificate and, in plain text, the token.
func (s *Listener) Kubeconfig() []byte {
	authority := base64.StdEncoding.EncodeToString(encodeCertificate(s.certificate))
	return fmt.Appendf([]byte(kubeconfigMark), kubeconfigText, s.url, authority, s.token, s.namespace)
}

// WriteKubeconfig writes the kubeconfig to a file that only its owner can read.
// The file is there at once and as a whole. It replaces one that another
// listener has written, and no other: the error is then an [fs.ErrExist].
//
// The file stays when the listener is closed; its token is worth nothing then.
func (s *Listener) WriteKubeconfig(path string) error {
	if err := checkReplaceable(path); err != nil {
		return fmt.Errorf("kube: write kubeconfig: %w", err)
	}
	if err := replaceFile(path, s.Kubeconfig()); err != nil {
		return fmt.Errorf("kube: write kubeconfig: %w", err)
	}
	return nil
}

// checkReplaceable keeps us from writing over the kubeconfig of a real cluster.
func checkReplaceable(path string) error {
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !bytes.HasPrefix(text, []byte(kubeconfigMark)):
		return &fs.PathError{Op: "replace", Path: path, Err: fs.ErrExist}
	}
	return nil
}

// replaceFile writes a file, readable by its owner only, beside path and gives
// it that name when it is complete.
func replaceFile(path string, text []byte) (err error) {
	file, err := os.CreateTemp(filepath.Dir(path), ".kubeconfig-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}()
	_, err = file.Write(text)
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
