# Add these lines to your settings.py.
import os
from pathlib import Path

STREAM_MANAGER = {
    # Address of the API for this server: the manager itself, or nginx.
    "BASE_URL": os.environ.get("STREAM_MANAGER_URL", "http://127.0.0.1:8088"),
    "API_KEY": os.environ["STREAM_MANAGER_API_KEY"],
    # Address of nginx for browsers.
    "PUBLIC_URL": os.environ.get("STREAM_MANAGER_PUBLIC_URL", "http://localhost:8080"),
    # Lifetime of a playback session, in seconds. The page then asks for another one.
    "PLAYBACK_TTL": 3600,
}
# For mint_token() only.
if key_file := os.environ.get("STREAM_MANAGER_PRIVATE_KEY_FILE"):
    STREAM_MANAGER["PRIVATE_KEY"] = Path(key_file).read_text()
