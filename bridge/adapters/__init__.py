"""The adapters that implement the ports: the embedded and the dapr runtime, and calls of functions over HTTP."""
