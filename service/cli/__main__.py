"""`python -m service.cli`: the command line, where its script isn't on the path."""

from service.cli import main

main()
