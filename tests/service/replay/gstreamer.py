#!/usr/bin/python3
"""Decodes the video of a file with GStreamer, and prints the times of all pictures as JSON.

The times are those of the pictures that are shown, in nanoseconds.
"""

import json
import sys

import gi

gi.require_version("Gst", "1.0")

from gi.repository import Gst  # noqa: E402

Gst.init(None)
pipeline = Gst.parse_launch(
    "filesrc name=file ! qtdemux name=demux "
    "demux.video_0 ! queue ! h264parse ! avdec_h264 ! fakesink name=sink"
)
pipeline.get_by_name("file").set_property("location", sys.argv[1])
sink = pipeline.get_by_name("sink")
sink.set_property("sync", False)
times = []


def frame(_pad: Gst.Pad, info: Gst.PadProbeInfo) -> Gst.PadProbeReturn:
    buffer = info.get_buffer()
    segment = sink.get_static_pad("sink").get_sticky_event(Gst.EventType.SEGMENT, 0).parse_segment()
    # Pictures outside of the segment are not shown.
    is_shown, _, _ = segment.clip(Gst.Format.TIME, buffer.pts, buffer.pts + buffer.duration)
    if is_shown:
        times.append(buffer.pts)
    return Gst.PadProbeReturn.OK


sink.get_static_pad("sink").add_probe(Gst.PadProbeType.BUFFER, frame)
pipeline.set_state(Gst.State.PLAYING)
kinds = Gst.MessageType.EOS | Gst.MessageType.ERROR
message = pipeline.get_bus().timed_pop_filtered(30 * Gst.SECOND, kinds)
pipeline.set_state(Gst.State.NULL)
if message is None or message.type != Gst.MessageType.EOS:
    sys.exit(f"GStreamer: {message and message.parse_error()}")
print(json.dumps(times))
