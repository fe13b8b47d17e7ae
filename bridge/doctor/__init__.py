"""Finds errors in configuration files before they are deployed: Dapr's resources, Kubernetes manifests and the bridge's own files.

A rule (`rules/`) is a function that takes the parsed files and returns its findings. Rules write no file and use no network. Only `fixes`
writes.
"""
