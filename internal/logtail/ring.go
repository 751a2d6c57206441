package logtail

import "encoding/binary"

// headerSize is the number of bytes that a line takes in addition to its text.
const headerSize = 12

// A header says what is known of a line besides its text.
type header struct {
	nanos  int64 // of the line's time, since 1970
	size   int   // of the text; at most MaxLine
	stream Stream
	cut    bool
}

// put encodes h at the beginning of b.
func (h header) put(b []byte) {
	bits := uint32(h.size)<<2 | uint32(h.stream)<<1
	if h.cut {
		bits |= 1
	}
	_ = b[headerSize-1]
	binary.LittleEndian.PutUint64(b, uint64(h.nanos))
	binary.LittleEndian.PutUint32(b[8:], bits)
}

// headerAt decodes what is at the beginning of b.
func headerAt(b []byte) header {
	_ = b[headerSize-1]
	bits := binary.LittleEndian.Uint32(b[8:])
	return header{
		nanos:  int64(binary.LittleEndian.Uint64(b)),
		size:   int(bits >> 2),
		stream: Stream(bits >> 1 & 1),
		cut:    bits&1 != 0,
	}
}

// minRing is the size that a ring has at first, if its limit allows.
const minRing = 256

// A ring is a queue of lines in a buffer that is written around and around. It
// grows up to the limit that its caller names, and is not emptied by reading.
//
// Lines have positions: the number of bytes that were added before them. They
// stay the same as the ring grows and moves on.
type ring struct {
	buf  []byte
	head int // position of the oldest line
	at   int // where in buf that is
	used int
}

// clear removes all lines; what was their memory is kept up to the limit.
func (r *ring) clear(limit int) {
	buf := r.buf
	if len(buf) > limit {
		buf = nil
	}
	*r = ring{buf: buf}
}

func (r *ring) empty() bool { return r.used == 0 }

func (r *ring) end() int { return r.head + r.used }

// fits reports whether there is room for a line of n bytes.
func (r *ring) fits(n, limit int) bool { return r.used+headerSize+n <= limit }

// add appends a line that fits.
func (r *ring) add(h header, text []byte, limit int) {
	if need := r.used + headerSize + len(text); need > len(r.buf) {
		r.grow(need, limit)
	}
	i := r.index(r.end())
	if n := headerSize + len(text); i+n <= len(r.buf) { // nearly always
		h.put(r.buf[i:])
		copy(r.buf[i+headerSize:], text)
		r.used += n
		return
	}
	var b [headerSize]byte
	h.put(b[:])
	r.append(b[:])
	r.append(text)
}

func (r *ring) append(p []byte) {
	n := copy(r.buf[r.index(r.end()):], p)
	copy(r.buf, p[n:])
	r.used += len(p)
}

// grow makes room for need bytes.
func (r *ring) grow(need, limit int) {
	buf := make([]byte, min(max(2*len(r.buf), need, minRing), limit))
	r.read(buf[:r.used], r.head)
	r.buf, r.at = buf, 0
}

// drop removes the oldest line and returns the size of its text.
func (r *ring) drop() int {
	h := r.header(r.head)
	n := headerSize + h.size
	r.at = r.index(r.head + n)
	r.head += n
	r.used -= n
	return h.size
}

// header returns the header of the line at pos.
func (r *ring) header(pos int) header {
	if i := r.index(pos); i+headerSize <= len(r.buf) {
		return headerAt(r.buf[i:])
	}
	var b [headerSize]byte
	r.read(b[:], pos)
	return headerAt(b[:])
}

// text returns the text of the line at pos, of which h is the header.
func (r *ring) text(pos int, h header) string {
	i := r.index(pos + headerSize)
	if i+h.size <= len(r.buf) {
		return string(r.buf[i : i+h.size])
	}
	b := make([]byte, h.size)
	r.read(b, pos+headerSize)
	return string(b)
}

// after returns the position of the line after the one at pos.
func (r *ring) after(pos int, h header) int { return pos + headerSize + h.size }

// read fills p with what is at pos.
func (r *ring) read(p []byte, pos int) {
	if len(p) == 0 {
		return
	}
	n := copy(p, r.buf[r.index(pos):])
	copy(p[n:], r.buf)
}

// index returns where in buf pos is: pos is not beyond the end.
func (r *ring) index(pos int) int {
	i := r.at + pos - r.head
	if i >= len(r.buf) {
		i -= len(r.buf)
	}
	return i
}
