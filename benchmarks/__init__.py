"""What the documentation claims about speed, measured: `make bench`.

Figures of one run are compared with each other only: machines differ, and are shared.
"""
