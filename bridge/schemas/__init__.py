"""Holds values against JSON Schemas."""
