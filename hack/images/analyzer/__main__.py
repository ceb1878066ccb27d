"""`python -m hack.images.analyzer [3.11 [x86_64]]`: fill the analyzer's build context, print where it is."""

import sys

from hack.images.analyzer.context import make
from hack.install.steps import InstallError, fail

if __name__ == "__main__":
    try:
        print(make(*sys.argv[1:]))
    except InstallError as error:
        sys.exit(fail(error))
