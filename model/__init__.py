"""The network, its training, and the repository of trained versions.

Everything here is numpy and the standard library, and knows nothing of HTTP, settings or
databases: `service` imports `model`, never the other way round.
"""
