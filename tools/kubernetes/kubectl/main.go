// The command of Kubernetes that the runbooks use.
package main

import (
	"k8s.io/component-base/cli"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
)

func main() {
	if problem := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); problem != nil {
		util.CheckErr(problem)
	}
}
