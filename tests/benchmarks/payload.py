"""What every row sends and gets back: about 500 B of JSON."""

from __future__ import annotations

PAYLOAD = {"text": "automation " * 44}
