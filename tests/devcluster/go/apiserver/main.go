// Command apiserver is etcd and kube-apiserver in one binary, for tests that
// need the real API machinery (validation, defaulting, CEL, watches) and no
// nodes. The first argument names the program to be:
//
//	apiserver etcd --data-dir …
//	apiserver kube-apiserver --etcd-servers …
package main

import (
	"fmt"
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: apiserver etcd|kube-apiserver [FLAGS]")
		os.Exit(2)
	}
	os.Args = os.Args[1:]
	switch os.Args[0] {
	case "etcd":
		etcdmain.Main(os.Args)
	case "kube-apiserver":
		os.Exit(cli.Run(app.NewAPIServerCommand()))
	default:
		fmt.Fprintf(os.Stderr, "apiserver: no program %q; use etcd or kube-apiserver\n", os.Args[0])
		os.Exit(2)
	}
}
