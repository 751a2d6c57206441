package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/internal/kubelitetest"
	"github.com/runtocompletion/batch/internal/leaktest"
)

func TestMain(m *testing.M) {
	if slices.Contains(os.Args, "-old") {
		Main(new(Functions)) // an image of another build
	}
	if dir := os.Getenv("CLUSTER_TEST_RESULTS"); dir != "" {
		functions.Results = folder(dir)
	}
	Main(functions)
	switch os.Getenv("CLUSTER_TEST_ROLE") {
	case "start":
		startAndHang()
	case "drive":
		driveSquares()
	}
	if err := os.Unsetenv("KUBERNETES_SERVICE_HOST"); err != nil { // of a cluster that runs these tests
		panic(err)
	}
	leaktest.Main(m)
}

const chattyLines = 20_000

// An exitError is a failure with that exit code.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }
func (e exitError) ExitCode() int { return int(e) }

var errQuota = errors.New("quota is used up")

// functions are what the pods of the tests run: their image is this test binary.
var functions = &Functions{
	Executors: map[string]batch.Executor{
		"square": batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			n, err := batch.Input[int](a)
			if err != nil {
				return err
			}
			fmt.Fprintf(a.Stdout(), "index %d of %s\n", a.Index, a.Name())
			a.Progress(1, 1, "squaring")
			a.SetOutput("squared")
			return a.SetResult(n * a.Index * a.Index)
		}),
		"fail": batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			switch a.Index {
			case 1:
				return batch.Permanent(errors.New("no such file"))
			case 2:
				return fmt.Errorf("upload: %w", errQuota)
			case 3:
				panic("oh no")
			}
			return nil
		}),
		"wait": batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			<-ctx.Done()
			fmt.Fprintln(a.Stdout(), "stopped:", context.Cause(ctx))
			return ctx.Err()
		}),
		"gated": batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			if err := passGate(ctx, os.Getenv("CLUSTER_TEST_GATE")); err != nil {
				return err
			}
			return a.SetResult(a.Index)
		}),
		"first": batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			if a.Index == 0 {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}),
		"nothing": batch.ExecutorFunc(func(context.Context, batch.Attempt) error { return nil }),
		"fail-once": batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
			if a.Number == 0 {
				return exitError(7)
			}
			return nil
		}),
		"odd": batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
			if a.Index%2 == 1 {
				return exitError(1)
			}
			return nil
		}),
		"describe": batch.ExecutorFunc(describe),
		"plan":     batch.ExecutorFunc(playPlan),
		"chatty": batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
			for i := range chattyLines {
				fmt.Fprintln(a.Stdout(), "line", i)
			}
			return nil
		}),
		"large": batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			return a.SetResult(make([]byte, 5000))
		}),
		"resume": batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			if before := a.Checkpoint(); before != nil {
				return a.SetResult(string(before))
			}
			if err := a.SaveCheckpoint(ctx, []byte("half")); err != nil {
				return batch.Permanent(err)
			}
			return errors.New("interrupted")
		}),
	},
	Predicates: map[string]func(error) bool{
		"quota": func(err error) bool { return errors.Is(err, errQuota) },
	},
}

// shared is the cluster of all tests but those that break it.
var shared = sync.OnceValues(func() (*kubelitetest.Cluster, error) {
	return kubelitetest.Run(kubelitetest.Options{Nodes: 2, Images: testImages()})
})

func testImages() map[string][]string {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return map[string][]string{"service:v1": {self}, "service:old": {self, "-old"}}
}

// A place is a namespace of a cluster for one test, with the least rights.
type place struct {
	t         testing.TB
	cluster   *kubelitetest.Cluster
	admin     *kubernetes.Clientset
	namespace string
	config    *rest.Config // of the service
}

func newPlace(t testing.TB) *place {
	kubelitetest.Require(t)
	c, err := shared()
	require.NoError(t, err)
	return newPlaceIn(t, c)
}

func newPlaceIn(t testing.TB, c *kubelitetest.Cluster) *place {
	p := &place{t: t, cluster: c, admin: clientOf(t, c)}
	ns, err := p.admin.CoreV1().Namespaces().Create(t.Context(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}, metav1.CreateOptions{})
	require.NoError(t, err)
	p.namespace = ns.Name
	for _, name := range []string{"service", "pods"} {
		_, err := p.admin.CoreV1().ServiceAccounts(p.namespace).Create(t.Context(),
			&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		require.NoError(t, err)
	}
	role, binding := Rights(p.namespace, "service")
	podRole, podBinding := PodRights(p.namespace, "pods")
	rbac := p.admin.RbacV1()
	for _, r := range []int{0, 1} {
		if r == 1 {
			role, binding = podRole, podBinding
		}
		_, err = rbac.Roles(p.namespace).Create(t.Context(), role, metav1.CreateOptions{})
		require.NoError(t, err)
		_, err = rbac.RoleBindings(p.namespace).Create(t.Context(), binding, metav1.CreateOptions{})
		require.NoError(t, err)
	}
	token, err := p.admin.CoreV1().ServiceAccounts(p.namespace).CreateToken(t.Context(), "service",
		&authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	require.NoError(t, err)
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig)
	require.NoError(t, err)
	config.BearerToken = token.Status.Token
	p.config = config
	p.awaitDefaultAccount()
	return p
}

// awaitDefaultAccount waits until pods can be created.
func (p *place) awaitDefaultAccount() {
	w, err := p.admin.CoreV1().ServiceAccounts(p.namespace).Watch(p.t.Context(),
		metav1.ListOptions{FieldSelector: "metadata.name=default"})
	require.NoError(p.t, err)
	defer w.Stop()
	for e := range w.ResultChan() {
		if e.Type == watch.Added {
			return
		}
	}
}

func (p *place) options() Options {
	return Options{Config: p.config, Namespace: p.namespace, Image: "service:v1", Functions: functions,
		Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{ServiceAccountName: "pods"}}}
}

// service is a controller whose jobs run on the cluster, until the test ends.
func (p *place) service(o Options) *batch.Controller {
	c := newController(p.t, nil)
	p.t.Cleanup(p.hand(c, o))
	return c
}

// hand hands jobs of a controller to the cluster until stop is called, which shuts the
// controller down.
func (p *place) hand(c *batch.Controller, o Options) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, c, o) }()
	return func() {
		cancel()
		require.ErrorIs(p.t, <-done, context.Canceled)
		require.NoError(p.t, c.Shutdown(context.Background()))
	}
}

// share lets pods see a folder of this machine, and its name in a variable.
func share(o *Options, dir, variable, value string) {
	o.Template.Spec.Volumes = []corev1.Volume{{Name: "shared",
		VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: dir}}}}
	o.Template.Spec.Containers = []corev1.Container{{Name: "main", Env: []corev1.EnvVar{{Name: variable, Value: value}},
		VolumeMounts: []corev1.VolumeMount{{Name: "shared", MountPath: dir}}}}
}

func newController(t testing.TB, store batch.Store) *batch.Controller {
	c, err := batch.New(context.Background(), batch.Options{Store: store,
		Managers: map[string]func(batch.Job) error{Manager: Check}})
	require.NoError(t, err)
	return c
}
