"""The command `streetlight`; also `python -P -m streetlight`.

Without `-P`, Python would import modules from the working directory.
"""

from streetlight.extras import server_extra

with server_extra("streetlight"):
    from streetlight.service.cli import main

if __name__ == "__main__":
    main()
