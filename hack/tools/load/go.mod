module smallmodel.dev/hack/tools/load

go 1.24
