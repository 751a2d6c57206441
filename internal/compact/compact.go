// Package compact writes the fields of a record in few bytes, and reads them again. One
// function lists the fields of a record, and serves both: so they cannot differ.
package compact

import (
	"encoding/binary"
	"errors"
)

// A Coder writes fields, or reads them in the same order. What it reads may be damaged:
// then all further fields are zero, and End reports it.
type Coder struct {
	out     []byte
	in      string
	reads   bool
	damaged bool
}

// Writer returns a coder that writes.
func Writer() *Coder { return new(Coder) }

// Reader returns a coder that reads what one has written. Texts that it reads share the
// memory of data.
func Reader(data string) *Coder { return &Coder{in: data, reads: true} }

// Reads reports whether c reads.
func (c *Coder) Reads() bool { return c.reads }

// Bytes are what c has written.
func (c *Coder) Bytes() []byte { return c.out }

// errDamaged reports that data is not what a coder with these fields has written.
var errDamaged = errors.New("damaged")

// End reports whether data had the fields that were read, and nothing else.
func (c *Coder) End() error {
	if c.damaged || c.in != "" {
		return errDamaged
	}
	return nil
}

// Int is the next field.
func Int[T ~int | ~int32 | ~int64 | ~uint8](c *Coder, p *T) {
	if !c.reads {
		c.out = binary.AppendVarint(c.out, int64(*p))
		return
	}
	n := c.varint()
	if *p = T(n); int64(*p) != n {
		c.fail()
		*p = 0
	}
}

// Text is the next field.
func (c *Coder) Text(p *string) {
	n := len(*p)
	Int(c, &n)
	if !c.reads {
		c.out = append(c.out, *p...)
		return
	}
	if n < 0 || n > len(c.in) {
		c.fail()
		n = 0
	}
	*p, c.in = c.in[:n], c.in[n:]
}

// Flags are the next field: at most seven.
func (c *Coder) Flags(flags ...*bool) {
	bits := uint8(0)
	for i, p := range flags {
		if *p {
			bits |= 1 << i
		}
	}
	Int(c, &bits)
	for i, p := range flags {
		*p = bits&(1<<i) != 0
	}
	if bits>>len(flags) != 0 {
		c.fail()
	}
}

// List is the next field; item codes one of its items, which takes a byte at least.
func List[T any](c *Coder, list *[]T, item func(*T)) {
	n := len(*list)
	Int(c, &n)
	if c.reads {
		if n < 0 || n > len(c.in) {
			c.fail()
			n = 0
		}
		*list = nil
		if n > 0 {
			*list = make([]T, n)
		}
	}
	for i := range *list {
		item(&(*list)[i])
	}
}

// varint reads a number as package encoding/binary writes it.
func (c *Coder) varint() int64 {
	n, shift := uint64(0), 0
	for i := range min(len(c.in), binary.MaxVarintLen64) {
		b := c.in[i]
		n |= uint64(b&0x7f) << shift
		shift += 7
		if b < 0x80 {
			c.in = c.in[i+1:]
			return int64(n>>1) ^ -int64(n&1)
		}
	}
	c.fail()
	return 0
}

func (c *Coder) fail() { c.in, c.damaged = "", true }
