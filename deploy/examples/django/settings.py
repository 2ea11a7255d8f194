# Add these lines to your settings.py.
import os
from pathlib import Path

STREAM_MANAGER = {
    # Address at which this server reaches the API: the manager itself, or nginx.
    "BASE_URL": os.environ.get("STREAM_MANAGER_URL", "http://127.0.0.1:8088"),
    "API_KEY": os.environ["STREAM_MANAGER_API_KEY"],
    # Address at which browsers reach nginx.
    "PUBLIC_URL": os.environ.get("STREAM_MANAGER_PUBLIC_URL", "http://localhost:8080"),
    # Lifetime of a playback session in seconds. After that, the page requests another session.
    "PLAYBACK_TTL": 3600,
}
# Only mint_token() needs this key.
if key_file := os.environ.get("STREAM_MANAGER_PRIVATE_KEY_FILE"):
    STREAM_MANAGER["PRIVATE_KEY"] = Path(key_file).read_text()
