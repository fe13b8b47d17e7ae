"""Programs that run the functions of one app, each under an interpreter of its own.

A worker is a command that speaks JSON lines over its standard input and output (see `orders` in the parent package for the shapes).
Nothing in here imports `bridge`.
"""
