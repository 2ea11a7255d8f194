"""Sources of a client's pipeline: a generator that runs in real time, or a shared encoder."""

import array
import collections
import math
import threading
import time

from gst import Gst

# Number of recent units (encoded frames or chunks of audio) that a shared encoder keeps for
# clients that fall behind.
UNITS_KEPT = 25
AUDIO_CHUNK_MS = 20
BEEP_MS = 100
BEEP_HERTZ = 1000


class Beep:
    """Generates audio with a short tone at the start of every second."""

    def __init__(self, rate):
        count = rate * AUDIO_CHUNK_MS // 1000
        step = 2 * math.pi * BEEP_HERTZ / rate
        tone = array.array("h", (int(8000 * math.sin(step * i)) for i in range(count)))
        self._tone = tone.tobytes()
        self._silence = bytes(len(self._tone))

    def generate(self, now_ms):
        """Return the chunk of samples that starts at this Unix time in milliseconds."""
        return self._tone if now_ms % 1000 < BEEP_MS else self._silence


class LiveSource:
    """Feeds an appsrc in real time, as the sensor of a camera would.

    Timestamps are exact multiples of the period. If the pipeline cannot accept data
    in time, because a client is slow or the process was stopped, that data is skipped
    and never sent later.
    """

    def __init__(self, generator, period):
        self._generator = generator
        self._period = period
        self._next_tick = 0

    def feed(self, appsrc, _wanted_bytes):
        """Wait for the next tick, and push the data for that time."""
        now = appsrc.get_current_running_time()
        tick = max(self._next_tick, now // self._period)
        time.sleep(max(0, tick * self._period - now) / Gst.SECOND)
        appsrc.emit("push-buffer", self._buffer(tick))
        self._next_tick = tick + 1

    def _buffer(self, tick):
        data = self._generator.generate(time.time_ns() // 1_000_000)
        buffer = Gst.Buffer.new_wrapped(data)
        buffer.pts = tick * self._period
        buffer.duration = self._period
        if tick != self._next_tick:
            buffer.set_flags(Gst.BufferFlags.DISCONT)
        return buffer


class SharedEncoder:
    """An encoder that runs all the time, as the encoder of a real camera does.

    It keeps the most recent units for its clients, and never waits for a client.
    """

    def __init__(self, launch, source, quirk):
        self._pipeline = Gst.parse_launch(f"{launch} ! appsink name=units sync=false")
        quirk.on_encoder(self._pipeline)
        self._pipeline.get_by_name("source").connect("need-data", source.feed)
        self._units = collections.deque(maxlen=UNITS_KEPT)
        self._count = 0
        self._has_new_unit = threading.Condition()
        self._sink = self._pipeline.get_by_name("units")
        self._pipeline.set_state(Gst.State.PLAYING)
        # Wait for the first unit, because the caps are not known before it.
        self._keep_next()
        threading.Thread(target=self._keep_all, daemon=True).start()

    @property
    def caps(self):
        """The caps of the latest unit, including the decoder's configuration."""
        return self._units[-1].get_caps()

    @property
    def count(self):
        """The number of units so far."""
        return self._count

    def wait_for_next(self, number):
        """Wait until there is a unit after this number. Return its number and its sample.

        If the next unit is no longer kept, the latest one is returned instead. The sample's
        timestamps are absolute times of GStreamer's system clock.
        """
        with self._has_new_unit:
            self._has_new_unit.wait_for(lambda: self._count > number)
            oldest = self._count - len(self._units) + 1
            number = number + 1 if number + 1 >= oldest else self._count
            return number, self._units[number - oldest]

    def make_keyframe(self):
        """Make the next frame a keyframe."""
        request = Gst.Structure.new_from_string("GstForceKeyUnit, all-headers=(boolean)true")
        self._sink.send_event(Gst.Event.new_custom(Gst.EventType.CUSTOM_UPSTREAM, request))

    def _keep_all(self):
        while True:
            self._keep_next()

    def _keep_next(self):
        sample = self._sink.emit("pull-sample")
        # Buffer.copy() only returns another reference to the same buffer.
        unit = sample.get_buffer().copy_deep()
        segment, base = sample.get_segment(), self._pipeline.get_base_time()
        unit.pts = base + segment.to_running_time(Gst.Format.TIME, unit.pts)
        unit.dts = Gst.CLOCK_TIME_NONE
        with self._has_new_unit:
            self._units.append(Gst.Sample.new(unit, sample.get_caps(), None, None))
            self._count += 1
            self._has_new_unit.notify_all()


class SharedSource:
    """Feeds an appsrc from a shared encoder, starting at the encoder's next unit."""

    def __init__(self, encoder):
        self._encoder = encoder
        self._last = None

    def feed(self, appsrc, _wanted_bytes):
        """Push the next unit."""
        before = self._encoder.count if self._last is None else self._last
        self._last, unit = self._encoder.wait_for_next(before)
        while unit.get_buffer().pts < appsrc.get_base_time():
            # The unit is older than the client's pipeline.
            self._last, unit = self._encoder.wait_for_next(self._last)
        buffer = unit.get_buffer().copy_deep()
        buffer.pts -= appsrc.get_base_time()
        if self._last != before + 1:
            buffer.set_flags(Gst.BufferFlags.DISCONT)
        appsrc.emit("push-sample", Gst.Sample.new(buffer, unit.get_caps(), None, None))
