"""Waiting for conditions.  Nothing here or in a test waits for time to pass."""

import os
import time

# Generous: a sanitizer build on a busy machine is many times slower.
TIMEOUT = 15.0 * float(os.environ.get("WEIR_TEST_PATIENCE", "1"))

# Between two looks at a condition: a twentieth of what was waited already, but no less and no more than this.  Who looks
# all the time keeps what it waits for from the processor, where there is but one.
_PAUSE, _LONGEST_PAUSE = 0.002, 0.1

# How often a thing is tried that a machine which stands still for a while may spoil.
_TRIES = 6


def wait_until(condition, what=None, timeout=TIMEOUT):
    """Returns the first true result of condition(); fails after timeout seconds."""
    began = time.monotonic()
    while True:
        result = condition()
        if result:
            return result
        waited = time.monotonic() - began
        if waited > timeout:
            name = what or getattr(condition, "__name__", "the condition")
            raise AssertionError(f"waited {timeout:g} s in vain for {name}")
        time.sleep(min(max(_PAUSE, waited / 20), _LONGEST_PAUSE))


def succeeds_once(attempt, what=None):
    """Returns the first true result of some calls of attempt().

    For what is quick or prompt where the program is right, and never so where it is wrong: a slow or busy machine may
    spoil one attempt, and hardly all of them.
    """
    for _ in range(_TRIES):
        result = attempt()
        if result:
            return result
    raise AssertionError(f"tried {_TRIES} times in vain: {what or getattr(attempt, '__name__', 'it')}")
