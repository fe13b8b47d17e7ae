from __future__ import annotations

import signal

# A shell starts what it runs in the background with Ctrl-C ignored, and every process that a test starts would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
