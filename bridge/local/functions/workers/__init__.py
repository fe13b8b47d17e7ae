"""Programs that run the functions of one app, each under an interpreter of its own.

A worker is a command that exchanges JSON lines with the host over its standard input and output; `worker.py` in the parent package has
their shapes.
Nothing in here imports `bridge`.
"""
