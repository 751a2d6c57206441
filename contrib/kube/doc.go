// Package kube is the Kubernetes side of package batch: Jobs of batch/v1 in, and
// the API by which kubectl and other clients of Kubernetes see and change the
// jobs of a [batch.Controller]. There is no cluster.
//
// # Manifests
//
// [Decode] and [Load] read manifests, strictly; [Default] and [Validate] say what
// the API server would; a [Runner] makes jobs of them, and [Manifest] makes
// manifests of jobs. What a pod is here:
//
//   - A container with a command runs as a process of this machine, if the
//     runner's Commands allows it: with the user, the environment, the files and
//     the network of this process. It gets its env, with $(VAR) expanded there
//     and in its arguments, HOSTNAME and JOB_COMPLETION_INDEX on top; is found in
//     its PATH if it has one; starts in its workingDir; gets SIGTERM, the grace
//     period and SIGKILL; and leaves as its termination message what it writes to
//     its terminationMessagePath, which stands for a file of the attempt's own
//     wherever it is in the container's command, args and env. Its image is not
//     pulled; "process" is one of which nobody expects that.
//   - A container with an image func/NAME runs a Go function, with its command
//     and args for arguments.
//   - An emptyDir volume is a directory of the attempt, which is mounted for its
//     containers only: with mounts of their own, they see the other files of this
//     machine as they are. Where the system lets this process mount nothing, by
//     unshare(1), it is refused. Functions have no volumes.
//   - The back-off limit counts before a success policy, as on a cluster: a job whose
//     failures and successes come together may fail or complete.
//   - Variables may come from the ConfigMaps and Secrets that the [Runner] has.
//   - Init containers run before it, one after the other, and not again when the
//     container is restarted in place. A pod has one back-off for all of its
//     containers, and the message of a failure policy names the pod, not which of
//     them has failed. The log of the attempt has a line where each further run of
//     a container begins, by which clients are shown the log of one of them.
//   - What cannot be had is refused by the name of its field: images without a
//     command, several containers, sidecars and restart rules, other
//     volumes, hooks and probes that end containers, other users and more privileges;
//     finalizers and owners other than CronJobs, as nobody here would act on them.
//   - What makes no difference on one machine, or is not enforced, is warned
//     about: where pods run, resources, names, namespaces of the kernel.
//
// # Clients
//
// [Handler] serves the API in any mux: read-only unless told otherwise. [Serve]
// listens for clients on this machine, with TLS and a token, and writes the
// kubeconfig that kubectl needs. If the controller has a store, jobs that clients
// have created go on after a restart.
//
// With [Options].CronJobs, clients see and change CronJobs as well: kubectl create
// cronjob, create job --from, and all else that they do with jobs. A job tells its
// CronJob in its owner references. CronJobs that clients have created are declared
// again after a restart, with their jobs.
package kube
