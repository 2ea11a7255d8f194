"""The GStreamer bindings in the required versions.

The other modules of this directory import them from here.
"""

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")

from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

__all__ = ["GLib", "Gst", "GstRtsp", "GstRtspServer"]
