"""Runs one Python function app; standard library only, besides what the app itself brings."""
