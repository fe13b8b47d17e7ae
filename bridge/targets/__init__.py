"""Calls HTTP targets, publishes the work of bus targets, and explains what unfinished runs are waiting for."""
