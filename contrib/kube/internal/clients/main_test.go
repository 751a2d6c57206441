package clients

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/runtocompletion/batch/internal/leaktest"
)

// TestMain runs the tests. In a process that they start by the name of kubectl, stern,
// perl or watches, it is that program: the test binary has all of kubectl and stern in it.
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case "kubectl":
		kubectl()
	case "stern":
		stern()
	case "perl":
		perl()
	case "watches":
		watches()
	default:
		ctrl.SetLogger(logr.Discard())
		leaktest.Main(m)
	}
}

// kubectl does what kubectl's own main function does.
func kubectl() {
	logs.GlogSetter(cmd.GetLogVerbosity(os.Args)) // nolint:errcheck
	if err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); err != nil {
		util.CheckErr(err)
	}
}

// guide are the arguments that the pi Job of Kubernetes' guide gives to perl.
const guide = "-Mbignum=bpi -wle print bpi(2000)"

// perl computes as many digits of π as anybody will look at. The Perl of many
// machines cannot compute the 2000 that the guide asks for.
func perl() {
	if args := strings.Join(os.Args[1:], " "); args != guide {
		fmt.Fprintln(os.Stderr, "perl: unexpected arguments:", args)
		os.Exit(2)
	}
	fmt.Println("3.14159265358979323846264338327950288419716939937510582097494459")
}
