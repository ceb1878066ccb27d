// The two processes of Argo CD that turn a git repository into objects, as one program for the test under the real
// Argo CD. `go install` refuses its module (replace directives), so a main of our own calls their commands; the
// server, its web interface and the rest are left out.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	controller "github.com/argoproj/argo-cd/v3/cmd/argocd-application-controller/commands"
	reposerver "github.com/argoproj/argo-cd/v3/cmd/argocd-repo-server/commands"
	"github.com/spf13/cobra"
)

func main() {
	commands := map[string]func() *cobra.Command{
		"argocd-application-controller": controller.NewCommand,
		"argocd-repo-server":            reposerver.NewCommand,
	}
	build, known := commands[filepath.Base(os.Args[0])]
	if !known {
		fmt.Fprintln(os.Stderr, "call it as argocd-application-controller or argocd-repo-server")
		os.Exit(2)
	}
	if err := build().Execute(); err != nil {
		os.Exit(1)
	}
}
