"""Events of the test devices on stdout, one JSON object per line."""

import json
import threading

_LOCK = threading.Lock()


def emit(event, **fields):
    """Write an event. Several threads can call this at the same time."""
    # print() writes the text and the line break separately, so a lock keeps them together.
    with _LOCK:
        print(json.dumps({"event": event, **fields}, separators=(",", ":")), flush=True)
