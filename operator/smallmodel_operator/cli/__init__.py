"""The command line, installed as `slm` and as the kubectl plugin `kubectl slm`."""
