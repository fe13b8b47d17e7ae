"""A real API server of Kubernetes, Dapr's own chart on it, and the real sentry and injector: `make kubernetes`.

No controllers run, and no kubelet: what is made stays as it was admitted.
"""
