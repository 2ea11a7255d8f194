"""Events of the test devices on stdout, one JSON object per line."""

import json
import threading

_LOCK = threading.Lock()


def emit(event, **fields):
    """Write an event. Threads may call this at the same time."""
    # print() writes the line and its end separately.
    with _LOCK:
        print(json.dumps({"event": event, **fields}, separators=(",", ":")), flush=True)
