"""`python -m bridge.local.functions`."""

from __future__ import annotations

import sys

from bridge.local.functions import main

sys.exit(main())
