// etcd for the test bed: `go install` refuses its module (replace directives), so a main of our own calls it.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() {
	etcdmain.Main(os.Args)
}
