package main

import (
	"fmt"
	"io"
	"strconv"
)

// A progress prints where an import begins, and a line for each tenth of it.
type progress struct {
	out   io.Writer
	total int // how many files there are
	tenth int // the last one that is done
}

// start says where an attempt begins: behind which file, and how many that are.
func (p *progress) start(after string, done int) {
	p.tenth = p.tenthOf(done)
	if after == "" {
		fmt.Fprintf(p.out, "starting: %s files to import\n", grouped(p.total))
		return
	}
	fmt.Fprintf(p.out, "resuming behind %s: %s of %s files done\n", after, grouped(done), grouped(p.total))
}

// reach says that so many files are done.
func (p *progress) reach(done int) {
	if tenth := p.tenthOf(done); tenth > p.tenth {
		p.tenth = tenth
		fmt.Fprintf(p.out, "%s of %s files done\n", grouped(done), grouped(p.total))
	}
}

func (p *progress) tenthOf(done int) int { return 10 * done / p.total }

// grouped writes a number that is not negative, such as 1,234,567.
func grouped(n int) string {
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%s,%03d", grouped(n/1000), n%1000)
}
