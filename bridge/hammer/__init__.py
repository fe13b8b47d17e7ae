"""Finds a policy for the calls of a function app: measures the function under rising load, works out candidates with the bridge's own
decisions, and tries the best one with a bridge.
"""
