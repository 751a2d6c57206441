package kube

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"time"
)

// tokenEntropy is how many random bytes make a token.
const tokenEntropy = 32

// credentials are what clients have of a listener: its token, and a certificate
// that its key has signed.
type credentials struct {
	token string
	key   *ecdsa.PrivateKey
}

func newCredentials() (credentials, error) {
	token := make([]byte, tokenEntropy)
	rand.Read(token) // never fails
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return credentials{base64.RawURLEncoding.EncodeToString(token), key}, err
}

// loadCredentials reads the credentials in a file, or makes the file. An empty
// name is no file.
func loadCredentials(name string) (credentials, error) {
	if name == "" {
		return newCredentials()
	}
	text, err := readSecret(name)
	if errors.Is(err, fs.ErrNotExist) {
		return makeCredentials(name)
	}
	if err != nil {
		return credentials{}, err
	}
	return decodeCredentials(text)
}

// readSecret reads a file that nobody else may read.
func readSecret(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("%s: others than its owner have access to it (mode %#o, must be 0600)", name, mode)
	}
	return os.ReadFile(name)
}

func makeCredentials(name string) (credentials, error) {
	c, err := newCredentials()
	if err != nil {
		return c, err
	}
	text, err := c.encode()
	if err != nil {
		return c, err
	}
	return c, replaceFile(name, text)
}

// The types of the blocks in a file of credentials.
const (
	keyBlock   = "PRIVATE KEY"
	tokenBlock = "BATCH TOKEN"
)

func (c credentials) encode() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(c.key)
	if err != nil {
		return nil, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: tokenBlock, Bytes: []byte(c.token)})
	return append(text, pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: der})...), nil
}

func decodeCredentials(text []byte) (credentials, error) {
	var c credentials
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		switch text = rest; block.Type {
		case tokenBlock:
			c.token = string(block.Bytes)
		case keyBlock:
			key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			if err != nil {
				return c, err
			}
			c.key, _ = key.(*ecdsa.PrivateKey)
		}
	}
	if len(c.token) < tokenEntropy || c.key == nil {
		return c, fmt.Errorf("it has no %s and %s: remove it, and another one is made", tokenBlock, keyBlock)
	}
	return c, nil
}

// certificateLife is how long a certificate is valid: longer than any process
// runs that has it.
const certificateLife = 10 * 365 * 24 * time.Hour

// newCertificate makes a certificate for some host names and IP addresses that
// is signed by itself. Clients that trust one trust all that have its key.
func newCertificate(key *ecdsa.PrivateKey, hosts []string) (tls.Certificate, error) {
	template := certificateFor(hosts, time.Now())
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, err
}

// certificateFor says what stands in the certificate. It is an authority as well
// because some clients accept nothing else as the root that they are to trust.
func certificateFor(hosts []string, now time.Time) *x509.Certificate {
	c := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "github.com/runtocompletion/batch"},
		NotBefore:             now.Add(-time.Hour), // clocks differ
		NotAfter:              now.Add(certificateLife),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, host)
		}
	}
	return c
}

// encodeCertificate is a certificate as PEM.
func encodeCertificate(c tls.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})
}
