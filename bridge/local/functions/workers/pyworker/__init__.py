"""Runs one Python function app. It needs only the standard library and what the app itself brings."""
