"""The network, its training, and the repository of trained versions.

This package imports numpy and the standard library only. HTTP, settings and databases are in
`service`, which imports `model`; `model` never imports `service`.
"""
