//go:build unix

package pgtest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// A Server is a PostgreSQL that can be stopped and started.
type Server struct {
	folder  string
	port    int
	program string // the folder of PostgreSQL's programs
	as      *syscall.SysProcAttr
}

// Start makes a database in a folder and starts its server. PostgreSQL refuses to be run
// by root: then it is run by the user postgres, whom its package makes. The options are
// further ones of initdb.
func Start(folder string, options ...string) (*Server, error) {
	program, err := findPrograms()
	if err != nil {
		return nil, err
	}
	s := &Server{folder: folder, program: program}
	if err := s.becomeUser(); err != nil {
		return nil, err
	}
	if s.port, err = freePort(); err != nil {
		return nil, err
	}
	options = append([]string{"-D", s.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C",
		"--no-instructions"}, options...)
	if err := s.run("initdb", options...); err != nil {
		return nil, err
	}
	settings := fmt.Sprintf("port = %d\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '%s'\n"+
		"max_connections = 100\nlog_min_messages = fatal\n", s.port, folder)
	if err := s.Configure(settings); err != nil {
		return nil, err
	}
	return s, s.Restart()
}

// findPrograms returns the folder of PostgreSQL's programs: the one that POSTGRES_BIN
// names, or that of the newest version of Debian's packages.
func findPrograms() (string, error) {
	if folder := os.Getenv("POSTGRES_BIN"); folder != "" {
		return folder, nil
	}
	folders, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(folders) == 0 {
		return "", errors.New("no PostgreSQL in /usr/lib/postgresql: apt-get install postgresql")
	}
	return slices.MaxFunc(folders, compareVersions), nil
}

func compareVersions(a, b string) int {
	version := func(path string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(path))) // 0 for what is no version
		return n
	}
	return version(a) - version(b)
}

// becomeUser has programs run as a user that PostgreSQL accepts.
func (s *Server) becomeUser() error {
	if os.Getuid() != 0 {
		return nil
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		return err
	}
	uid, err := strconv.Atoi(account.Uid)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(account.Gid)
	if err != nil {
		return err
	}
	s.as = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	return os.Chown(s.folder, uid, gid)
}

// freePort returns a port that was free a moment ago.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func (s *Server) data() string { return filepath.Join(s.folder, "data") }

// Configure adds settings, for the next start.
func (s *Server) Configure(settings string) error {
	file, err := os.OpenFile(filepath.Join(s.data(), "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString(settings)
	return errors.Join(err, file.Close())
}

// run runs one of PostgreSQL's programs to its end.
func (s *Server) run(name string, args ...string) error {
	cmd := exec.Command(filepath.Join(s.program, name), args...)
	cmd.SysProcAttr, cmd.Dir = s.as, s.folder
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

// IsRunning reports whether there is a server. One that has crashed and begins again is
// one.
func (s *Server) IsRunning() bool { return s.run("pg_ctl", "-D", s.data(), "status") == nil }

// Restart starts the server.
func (s *Server) Restart() error {
	return s.run("pg_ctl", "-D", s.data(), "-l", filepath.Join(s.folder, "log"), "-w", "-t", "60", "start")
}

// Stop stops the server as pg_ctl does in that mode: "fast" ends what is connected,
// "immediate" is like a crash.
func (s *Server) Stop(mode string) error {
	return s.run("pg_ctl", "-D", s.data(), "-m", mode, "-w", "-t", "60", "stop")
}

// Port is where the server listens, at 127.0.0.1.
func (s *Server) Port() int { return s.port }

// URL is what to connect to.
func (s *Server) URL() string { return s.URLAt(s.port) }

// URLAt is what to connect to by another port, such as that of a proxy.
func (s *Server) URLAt(port int) string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", port)
}

// Main runs f with a server, and returns its result.
func Main(f func(s *Server) int) (code int, err error) { return MainIn("", f) }

// MainIn is Main with the server's files in a new folder within the one of that name, or
// within that of the system for such folders if it is empty. The options are as in Start.
func MainIn(parent string, f func(s *Server) int, options ...string) (code int, err error) {
	folder, err := os.MkdirTemp(parent, "pgtest-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	s, err := Start(folder, options...)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.Stop("immediate")) }()
	return f(s), nil
}
