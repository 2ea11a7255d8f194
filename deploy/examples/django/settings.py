# Add to your settings.py.
import os
from pathlib import Path

STREAM_MANAGER = {
    # Where this server reaches the API: the manager itself, or nginx.
    "BASE_URL": os.environ.get("STREAM_MANAGER_URL", "http://127.0.0.1:8088"),
    "API_KEY": os.environ["STREAM_MANAGER_API_KEY"],
    # Where browsers reach nginx.
    "PUBLIC_URL": os.environ.get("STREAM_MANAGER_PUBLIC_URL", "http://localhost:8080"),
    # Seconds for which a page may play before it has to ask again.
    "PLAYBACK_TTL": 3600,
}
# For mint_token() alone.
if key_file := os.environ.get("STREAM_MANAGER_PRIVATE_KEY_FILE"):
    STREAM_MANAGER["PRIVATE_KEY"] = Path(key_file).read_text()
