"""`python -m sgmse` is `sgmse`."""

import sys

from sgmse.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
