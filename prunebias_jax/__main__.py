"""`python -m prunebias_jax` is the command `prunebias`."""

import sys

from prunebias_jax.cli import main

if __name__ == "__main__":
  sys.exit(main())
