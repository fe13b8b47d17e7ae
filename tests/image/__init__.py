"""Does what the Dockerfile says without a container engine: `make image`.

The base is this machine with its Python, seen through mounts of its own: what the Dockerfile writes goes to a temporary folder.
"""
