"""`python -m streetlight.service.cli`: the command line, where its script isn't on the path."""

from streetlight.service.cli import main

main()
