"""Says what is wrong with configuration files before they are deployed: Dapr's resources, Kubernetes manifests, and the bridge's own files.

A rule is a function from the parsed files to what it finds (`rules/`). Rules write no file and ask no network; only `fixes` writes.
"""
