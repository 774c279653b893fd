"""A small service that learns from observations when it is safe to cross the street.

`streetlight.model` is the network and its training, `streetlight.service` serves it over HTTP. In
the repository they are the folders `model/` and `service/`, to which this package links.
"""
