#!/usr/bin/python3
"""An RTSP camera that shows still pictures: the stream /NAME shows the file NAME.png.

The arguments are the folder of the files and the names. The camera prints its port when it is
ready.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")

from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

PICTURE = (
    "( filesrc location={folder}/{name}.png ! pngdec ! imagefreeze is-live=true"
    " ! video/x-raw,framerate=10/1 ! videoconvert ! video/x-raw,format=I420"
    " ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=10 bitrate=1200 threads=1"
    " ! rtph264pay name=pay0 )"
)


def main():
    """Serves the pictures until the process is killed."""
    folder, *names = sys.argv[1:]
    Gst.init(None)
    server = GstRtspServer.RTSPServer(address="127.0.0.1", service="0")
    for name in names:
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(PICTURE.format(folder=folder, name=name))
        server.get_mount_points().add_factory(f"/{name}", factory)
    server.attach(None)
    print(f"port {server.get_bound_port()}", flush=True)
    GLib.MainLoop().run()


main()
