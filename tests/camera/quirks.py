"""Quirks of real cameras. A quirk changes the pipelines of a stream."""

from gst import GLib, Gst

SHRINK_SECONDS = 6
UNSTEADY_SECONDS = 0.5


class Quirk:
    """The base class, which changes nothing."""

    # Launch line of the elements before the encoder.
    elements = ""

    def on_encoder(self, pipeline):
        """Handle a new pipeline that contains the stream's encoder."""

    def on_payloader(self, media, payloader):
        """Handle a new pipeline of a client, which contains the stream's payloader."""


class ShrinkingPicture(Quirk):
    """Halves the picture's width and height once, permanently and for all clients.

    This happens SHRINK_SECONDS after the first client has started to play, as if the
    operator had changed the settings of a camera that keeps its clients connected.
    """

    seconds = SHRINK_SECONDS
    is_repeated = False

    elements = "videoscale ! capsfilter name=size caps-change-mode=delayed ! "

    def __init__(self, width, height):
        size = f"width={width // 2},height={height // 4 * 2}"
        self._small = Gst.Caps.from_string(f"video/x-raw,{size}")
        self._full = self._caps = Gst.Caps.from_string("video/x-raw")
        self._filters = []
        self._is_scheduled = False

    def on_encoder(self, pipeline):
        """Set the current size, and remember the filter for later."""
        size = pipeline.get_by_name("size")
        self._filters.append(size.weak_ref())
        size.set_property("caps", self._caps)

    def on_payloader(self, media, _payloader):
        """Watch for the first client that plays."""
        media.connect("new-state", self._on_state)

    def _on_state(self, _media, state):
        if state == Gst.State.PLAYING and not self._is_scheduled:
            self._is_scheduled = True
            GLib.timeout_add(round(self.seconds * 1000), self._change)

    def _change(self):
        self._caps = self._full if self._caps is self._small else self._small
        for size in filter(None, (reference() for reference in self._filters)):
            size.set_property("caps", self._caps)
        return GLib.SOURCE_CONTINUE if self.is_repeated else GLib.SOURCE_REMOVE


class UnsteadyPicture(ShrinkingPicture):
    """Halves the picture's width and height every second time, and restores them otherwise."""

    seconds = UNSTEADY_SECONDS
    is_repeated = True


class SlowTimestamps(Quirk):
    """Makes RTP timestamps advance too slowly: at 1/`factor` of the correct speed.

    The payloader gets a segment whose playback rate is the factor, so the payloader
    scales the timestamps. The elements after the payloader get the original segment.
    """

    def __init__(self, factor):
        self._factor = factor

    def on_payloader(self, _media, payloader):
        """Change the rate of segments before the payloader, and restore it after the payloader."""
        replace_events(payloader.get_static_pad("sink"), self._set_rate(self._factor))
        replace_events(payloader.get_static_pad("src"), self._set_rate(1))

    @staticmethod
    def _set_rate(rate):
        def change(event):
            if event.type != Gst.EventType.SEGMENT or event.parse_segment().rate == rate:
                return None
            segment = event.parse_segment().copy()
            segment.rate = rate
            return Gst.Event.new_segment(segment)

        return change


class LateParameters(Quirk):
    """Removes the parameter sets from the SDP, so that they are sent only in band."""

    FIELD = "sprop-parameter-sets"

    def on_payloader(self, _media, payloader):
        """Remove the parameter sets from the payloader's caps."""
        replace_events(payloader.get_static_pad("src"), self._without_parameters)

    def _without_parameters(self, event):
        if event.type != Gst.EventType.CAPS:
            return None
        # Python cannot change a structure that belongs to caps, so this changes a copy.
        structure = event.parse_caps().get_structure(0).copy()
        if not structure.has_field(self.FIELD):
            return None
        structure.remove_field(self.FIELD)
        caps = Gst.Caps.new_empty()
        caps.append_structure(structure)
        return Gst.Event.new_caps(caps)


class LostFrames(Quirk):
    """Loses all packets of one frame in every `period` frames."""

    def __init__(self, period):
        self._period = period
        self._count = 0

    def on_payloader(self, _media, payloader):
        """Drop packets after the payloader, which pushes all packets of a frame at once."""
        types = Gst.PadProbeType.BUFFER | Gst.PadProbeType.BUFFER_LIST
        payloader.get_static_pad("src").add_probe(types, self._on_packets)

    def _on_packets(self, _pad, _info):
        self._count += 1
        is_lost = self._count % self._period == 0
        return Gst.PadProbeReturn.DROP if is_lost else Gst.PadProbeReturn.OK


def replace_events(pad, change):
    """Replace events that pass through a pad.

    `change` receives every event and returns a replacement, or None to keep the event.
    `change` is also called with the replacement, and must then return None.
    """
    send = pad.send_event if pad.get_direction() == Gst.PadDirection.SINK else pad.push_event

    def on_event(_pad, info):
        event = change(info.get_event())
        if not event:
            return Gst.PadProbeReturn.OK
        send(event)
        return Gst.PadProbeReturn.DROP

    pad.add_probe(Gst.PadProbeType.EVENT_DOWNSTREAM, on_event)
