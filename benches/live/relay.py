#!/usr/bin/python3
"""A bad line between two network interfaces. It delays IP packets, and loses some of them.

Creates two TUN devices, and writes "ready" to stdout. The caller moves each device into a network
namespace. The devices exist until this program ends. All options hold for each direction. Some
kernels lack netem, which does the same.
"""

import argparse
import contextlib
import fcntl
import heapq
import itertools
import os
import random
import select
import signal
import struct
import sys
import time

# From linux/if_tun.h: a device for IP packets without an additional header.
TUNSETIFF = 0x400454CA
IFF_TUN = 0x0001
IFF_NO_PI = 0x1000
NAME_BYTES = 16
MAX_PACKET = 65535
# Packets that are read from a device before the others are served.
BATCH = 64


class Line:
    """One direction of the line."""

    def __init__(self, options: argparse.Namespace, seed: int) -> None:
        self.random = random.Random(seed)
        self.loss = options.loss / 100
        self.delay = options.delay / 2000
        self.seconds_per_byte = 8 / (options.rate * 1e6) if options.rate else 0
        self.queue_seconds = options.queue / 1000
        self.free_at = 0.0
        self.passed = self.lost = self.overflowed = 0

    def leaves_at(self, packet: bytes, now: float) -> float | None:
        """Returns when a packet reaches the other end, or None if the line loses the packet."""
        if self.random.random() < self.loss:
            self.lost += 1
            return None
        begin = max(now, self.free_at)
        if begin - now > self.queue_seconds:
            self.overflowed += 1
            return None
        self.free_at = begin + len(packet) * self.seconds_per_byte
        self.passed += 1
        return self.free_at + self.delay


def open_device(name: str) -> int:
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    request = struct.pack(f"{NAME_BYTES}sH22x", name.encode(), IFF_TUN | IFF_NO_PI)
    fcntl.ioctl(device, TUNSETIFF, request)
    return device


def read(device: int) -> bytes | None:
    try:
        return os.read(device, MAX_PACKET)
    except OSError:
        # No packet is waiting, or the device is down.
        return None


def write(device: int, packet: bytes) -> None:
    # A device that is down, or whose queue is full, loses the packet.
    with contextlib.suppress(OSError):
        os.write(device, packet)


def relay(devices: list[int], lines: list[Line]) -> None:
    """Passes on packets until the process ends."""
    poll = select.epoll()
    for device in devices:
        poll.register(device, select.EPOLLIN)
    order = itertools.count()
    under_way: list[tuple[float, int, int, bytes]] = []
    while True:
        wait = max(0.0, under_way[0][0] - time.monotonic()) if under_way else 1.0
        poll.poll(wait)
        for index, line in enumerate(lines):
            for _ in range(BATCH):
                packet = read(devices[index])
                if packet is None:
                    break
                at = line.leaves_at(packet, time.monotonic())
                if at is not None:
                    heapq.heappush(under_way, (at, next(order), devices[1 - index], packet))
        now = time.monotonic()
        while under_way and under_way[0][0] <= now:
            _, _, device, packet = heapq.heappop(under_way)
            write(device, packet)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("devices", nargs=2, help="names of the two TUN devices")
    parser.add_argument("--loss", type=float, default=0, help="lost packets, in percent")
    parser.add_argument("--delay", type=float, default=0, help="round trip in ms")
    parser.add_argument("--rate", type=float, default=0, help="Mbit/s; 0: no limit")
    parser.add_argument("--queue", type=float, default=200, help="longest wait in ms")
    options = parser.parse_args()
    lines = [Line(options, seed) for seed in (1, 2)]
    devices = [open_device(name) for name in options.devices]

    def end(*_: object) -> None:
        for name, line in zip(options.devices, lines, strict=True):
            sent = f"passed {line.passed}, lost {line.lost}, overflowed {line.overflowed}"
            sys.stdout.write(f"{name}: {sent}\n")
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    relay(devices, lines)


if __name__ == "__main__":
    main()
