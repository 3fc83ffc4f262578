"""Waiting for conditions.  Nothing here or in a test waits for time to pass."""

import os
import time

# Generous: a sanitizer build on a busy machine is many times slower.
TIMEOUT = 15.0 * float(os.environ.get("WEIR_TEST_PATIENCE", "1"))

_PAUSE = 0.002


def wait_until(condition, what=None, timeout=TIMEOUT):
    """Returns the first true result of condition(); fails after timeout seconds."""
    end = time.monotonic() + timeout
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            name = what or getattr(condition, "__name__", "the condition")
            raise AssertionError(f"waited {timeout:g} s in vain for {name}")
        time.sleep(_PAUSE)      # between two looks at the condition
