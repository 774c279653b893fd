"""A service that learns from observations when it is safe to cross the street.

`streetlight.model` contains the network, its training and its versions; `streetlight.service`
serves them over HTTP. In the repository, both are links to the directories `model/` and `service/`.
"""
