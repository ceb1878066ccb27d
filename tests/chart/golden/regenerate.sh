#!/bin/sh
# Prints the rights of a profile in the form of the golden files: sh tests/chart/golden/regenerate.sh minimal
cd "$(dirname "$0")/../../.." || exit 1
helm template smallmodel charts/smallmodel-operator -n smallmodel-system -f "charts/smallmodel-operator/ci/$1-values.yaml" |
  .venv/bin/python -c 'import sys, yaml; from tests.chart.test_rbac import lines; print("\n".join(lines([o for o in yaml.safe_load_all(sys.stdin) if o])))'
