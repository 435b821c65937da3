"""Score a checkpoint: ``python eval.py --checkpoint F --mode val`` (see ``--help``)."""

import sys

from mxnetseg.cli import main

if __name__ == "__main__":
    sys.exit(main(["eval", *sys.argv[1:]]))
