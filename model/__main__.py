"""Run the training job: `python -m streetlight.model`."""

import sys

from streetlight.extras import server_extra

with server_extra("python -m streetlight.model"):
    from streetlight.model.training_job import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
