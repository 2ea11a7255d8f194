"""Prints the tracks that GStreamer's qtdemux reads from an MP4 file, as one JSON object.

Each track has its caps and its frames. Each frame has times in nanoseconds, whether it is a
keyframe, and the MD5 hash of its bytes.
"""

import hashlib
import json
import sys

import gi

gi.require_version("Gst", "1.0")

from gi.repository import Gst  # noqa: E402

Gst.init(None)
pipeline = Gst.parse_launch("filesrc name=file ! qtdemux name=demux")
pipeline.get_by_name("file").set_property("location", sys.argv[1])
demux = pipeline.get_by_name("demux")
tracks = {}


def add_track(_demux: Gst.Element, pad: Gst.Pad) -> None:
    track = tracks.setdefault(pad.get_name(), {"caps": None, "frames": []})
    sink = Gst.ElementFactory.make("fakesink")
    sink.set_property("sync", False)
    pipeline.add(sink)
    sink.sync_state_with_parent()

    def frame(pad: Gst.Pad, info: Gst.PadProbeInfo) -> Gst.PadProbeReturn:
        buffer = info.get_buffer()
        data = buffer.extract_dup(0, buffer.get_size())
        track["caps"] = pad.get_current_caps().to_string()
        track["frames"].append(
            {
                "pts": buffer.pts,
                "dts": buffer.dts,
                "duration": buffer.duration,
                "is_keyframe": not buffer.has_flags(Gst.BufferFlags.DELTA_UNIT),
                "md5": hashlib.md5(data).hexdigest(),
            }
        )
        return Gst.PadProbeReturn.OK

    pad.add_probe(Gst.PadProbeType.BUFFER, frame)
    pad.link(sink.get_static_pad("sink"))


demux.connect("pad-added", add_track)
pipeline.set_state(Gst.State.PLAYING)
kinds = Gst.MessageType.EOS | Gst.MessageType.ERROR
message = pipeline.get_bus().timed_pop_filtered(30 * Gst.SECOND, kinds)
pipeline.set_state(Gst.State.NULL)
if message is None or message.type != Gst.MessageType.EOS:
    sys.exit(f"qtdemux: {message and message.parse_error()}")
print(json.dumps(tracks))
