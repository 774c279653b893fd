"""Benchmarks behind the documentation's claims about speed, run by `make bench`.

Compare figures of the same run only: machines differ, and this one is shared.
"""
