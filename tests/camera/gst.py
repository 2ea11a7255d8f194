"""The GStreamer bindings in the required versions.

All modules of this directory that use GStreamer import the bindings from here.
"""

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")

from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

__all__ = ["GLib", "Gst", "GstRtsp", "GstRtspServer"]
