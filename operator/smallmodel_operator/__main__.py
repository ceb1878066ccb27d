"""`python -m smallmodel_operator` is `slm`."""

from smallmodel_operator.cli.app import main

main()
