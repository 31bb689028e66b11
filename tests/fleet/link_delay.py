"""Latency on one link of a bridge, in user space: for kernels that lack sch_netem.

``link_delay.py BRIDGE LINK MILLISECONDS`` takes LINK out of BRIDGE, puts a bridge of its own behind
it, and carries the frames between the two through a pair of tap devices, each frame held for the
given time. The round trip grows by twice that. SIGTERM puts LINK back. Needs root and /dev/net/tun.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import select
import signal
import struct
import subprocess
import sys
import time
from collections import deque
from types import FrameType
from typing import NoReturn

# linux/if_tun.h
TUNSETIFF = 0x400454CA
IFF_TAP = 0x0002
IFF_NO_PI = 0x1000
LONGEST_FRAME = 65536
HELD_FRAMES = 20_000
"""A queue has an end, as in a router: 20,000 frames of 1,500 bytes are 30 MB."""


def open_tap(name: str) -> int:
    """A new tap device; it lives as long as the file descriptor that comes back."""
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    return tap


def ip_link(*arguments: str) -> None:
    subprocess.run(["ip", "link", *arguments], check=True)


def carry(first: int, second: int, delay_s: float) -> NoReturn:
    """Carries frames between two taps, each held for ``delay_s``, until a signal ends it."""
    other = {first: second, second: first}
    # All frames are held equally long: the first in is the first due.
    held: deque[tuple[float, int, bytes]] = deque()
    while True:
        wait_s = max(0.0, held[0][0] - time.monotonic()) if held else None
        for tap in select.select([first, second], [], [], wait_s)[0]:
            frame = os.read(tap, LONGEST_FRAME)
            if len(held) < HELD_FRAMES:
                held.append((time.monotonic() + delay_s, other[tap], frame))
        while held and held[0][0] <= time.monotonic():
            _, tap, frame = held.popleft()
            try:
                os.write(tap, frame)
            except OSError:  # the other side is down or full: the frame is lost, as on a wire
                continue


def delay_link(bridge: str, link: str, delay_ms: float) -> NoReturn:
    """Delays ``link`` of ``bridge`` by ``delay_ms`` each way; SIGTERM ends it and puts it back."""
    outer, inner, behind = f"{link}a", f"{link}b", f"{link}m"
    first, second = open_tap(outer), open_tap(inner)
    try:
        ip_link("add", behind, "type", "bridge")
        # This machine answers ARP for all its addresses on all its links: not past the delay.
        ip_link("set", behind, "arp", "off")
        for device in (behind, outer, inner):
            # No IPv6 address of its own, so that it says nothing; not in one step with "up".
            ip_link("set", device, "addrgenmode", "none")
        ip_link("set", outer, "master", bridge)
        ip_link("set", inner, "master", behind)
        for device in (behind, outer, inner):
            ip_link("set", device, "up")
        # Only its bridge changes: a link that is cut stays so.
        ip_link("set", link, "master", behind)
        carry(first, second, delay_ms / 1000)
    finally:
        ip_link("set", link, "master", bridge)
        ip_link("del", behind)


def stop(_signal: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(0)


def main() -> NoReturn:
    parser = argparse.ArgumentParser(description=__doc__, epilog="Example: link_delay.py br0 v1 50")
    parser.add_argument("bridge")
    parser.add_argument("link", help="at most 14 characters, a port of the bridge")
    parser.add_argument("milliseconds", type=float)
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, stop)
    delay_link(given.bridge, given.link, given.milliseconds)


if __name__ == "__main__":
    main()
