"""Run the training job: `python -m streetlight.model`."""

import sys

from streetlight.model.training_job import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
