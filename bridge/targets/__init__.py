"""Calls HTTP targets and bus targets, and knows what their runs wait for."""
