"""Installs the operator into a cluster: builds images, pushes or loads them by digest, runs Helm."""
