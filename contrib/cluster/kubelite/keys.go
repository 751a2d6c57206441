package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Files with keys, and what belongs to them.
const (
	authorityFile  = "ca.crt"
	servingFile    = "serving.crt"
	servingKey     = "serving.key"
	accountKey     = "sa.key" // signs the tokens of service accounts
	accountPublic  = "sa.pub"
	tokensFile     = "tokens.csv"
	kubeconfigFile = "kubeconfig"
	imagesFile     = "images.json"
)

// writeKeys writes all that the parts of a cluster prove themselves with.
func writeKeys(dir, address string) error {
	if err := writeServing(dir, address); err != nil {
		return err
	}
	account, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	if err := writeKey(filepath.Join(dir, accountKey), account); err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(&account.PublicKey)
	if err != nil {
		return err
	}
	if err := writePEM(filepath.Join(dir, accountPublic), "PUBLIC KEY", public); err != nil {
		return err
	}
	token := rand.Text()
	err = os.WriteFile(filepath.Join(dir, tokensFile), fmt.Appendf(nil, "%s,admin,admin,system:masters\n", token),
		0o600)
	if err != nil {
		return err
	}
	return writeKubeconfig(dir, address, token)
}

// writeServing writes the certificate of the API server, and that of its authority.
func writeServing(dir, address string) error {
	now := time.Now()
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "kubelite"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	serving := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "kube-apiserver"},
		NotBefore: authority.NotBefore, NotAfter: authority.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.ParseIP(address)},
		DNSNames:    []string{"kubernetes", "kubernetes.default", "kubernetes.default.svc"},
	}
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	if err := writeKey(filepath.Join(dir, servingKey), key); err != nil {
		return err
	}
	if err := writeCertificate(filepath.Join(dir, authorityFile), authority, authority, &signer.PublicKey,
		signer); err != nil {
		return err
	}
	return writeCertificate(filepath.Join(dir, servingFile), serving, authority, &key.PublicKey, signer)
}

func writeCertificate(path string, c, parent *x509.Certificate, public crypto.PublicKey, signer crypto.Signer) error {
	data, err := x509.CreateCertificate(rand.Reader, c, parent, public, signer)
	if err != nil {
		return err
	}
	return writePEM(path, "CERTIFICATE", data)
}

func writeKey(path string, key crypto.Signer) error {
	data, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return writePEM(path, "PRIVATE KEY", data)
}

func writePEM(path, kind string, data []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data}), 0o600)
}

func writeKubeconfig(dir, address, token string) error {
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: kubelite
contexts:
- name: kubelite
  context: {cluster: kubelite, user: admin}
clusters:
- name: kubelite
  cluster: {server: "https://%s", certificate-authority: %q}
users:
- name: admin
  user: {token: %q}
`, address, filepath.Join(dir, authorityFile), token)
	return os.WriteFile(filepath.Join(dir, kubeconfigFile), []byte(text), 0o600)
}
