"""Run the command line without the script: `python -P -m streetlight.service.cli`.

Without `-P`, Python would import modules from the working directory.
"""

from streetlight.service.cli import main

main()
