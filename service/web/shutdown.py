"""An event that is set when the worker process begins to stop; long responses check it and end."""

import threading

stopping = threading.Event()
