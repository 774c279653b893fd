"""Whether this process is about to end: what goes on for long looks here and ends in time."""

import threading

stopping = threading.Event()
