"""`python -m sgmse` is `sgmse`."""

import sys

from sgmse.cli import main

if __name__ == "__main__":
    sys.exit(main())
