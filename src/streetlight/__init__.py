"""A service that learns from observations when it is safe to cross the street.

`streetlight.model` contains the network, its training and its versions; `streetlight.service`
serves them over HTTP; `streetlight.client` calls the service. In the repository, they are links to
the directories `model/`, `service/` and `client/`.
"""

__version__ = "0.2.0.dev0"
