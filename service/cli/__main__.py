"""Run the command line as `python -m streetlight.service.cli`, without the script `streetlight`."""

from streetlight.service.cli import main

main()
