# SPDX-License-Identifier: Apache-2.0
"""An Xsens MVN suit, with or without gloves: the datagrams of MVN's Network Streamer."""

import ipaddress
import socket
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from gr00t_policy.core.errors import ConfigError, MessageError
from gr00t_teleop.devices import xsens_person
from gr00t_teleop.devices.device import Clock, Deliver, Device, DeviceSample
from gr00t_teleop.devices.device_clock import DeviceClock
from gr00t_teleop.devices.person_clutch import PersonClutch
from gr00t_teleop.devices.sample_stream import SampleStream
from gr00t_teleop.devices.topics import Topics
from gr00t_teleop.devices.xsens_datagram import MvnError, MvnSample, SampleAssembly, read_datagram

_WAIT_S = 0.02
_QUIET_NS = 500_000_000
_SENDER_NS = 1_000_000_000  # a sender that is silent for so long may be followed by another
_LARGEST = 65_536
_Address = tuple[str, int]


@dataclass(frozen=True)
class XsensOptions:
    """host, port: to listen on. sender: IPv4 address that MVN sends from, empty: any of this computer.

    Raises ConfigError when the network may send and the sender is not named: datagrams prove nothing by themselves.
    """

    host: str = "127.0.0.1"
    port: int = 9763
    sender: str = ""
    character: int = 0
    max_age_s: float = 0.15

    def __post_init__(self) -> None:
        try:
            is_local = ipaddress.ip_address(self.host).is_loopback
        except ValueError as error:
            raise ConfigError(f"host '{self.host}' is no address; give one like 127.0.0.1 or 0.0.0.0") from error
        if not is_local and not self.sender:
            raise ConfigError(
                f"host '{self.host}' opens the port to the network; set xsens_sender to the address of MVN's computer"
            )


class Xsens(Device):
    """Follows one character of one sender. A new sender, or a counter that begins anew, is an epoch of its own."""

    source = "xsens"

    def __init__(self, options: XsensOptions, topics: Topics, clutch: PersonClutch, now_ns: Clock) -> None:
        super().__init__()
        self._options, self._topics, self._clutch, self._now_ns = options, topics, clutch, now_ns
        self._stream = SampleStream(self.source, max_age_s=options.max_age_s, is_dated=True)
        # It goes on over silences, unlike an epoch: what was held up meanwhile stays late.
        self._clock = DeviceClock()
        reasons = ("not_mvn", "other_type", "wrong_length", "wrong_segments", "no_person", "other_character")
        self._counts: Counter[str] = Counter(dict.fromkeys(("datagrams", "other_sender", *reasons), 0))
        self._assembly = SampleAssembly()
        self._sender: _Address | None = None
        self._sender_ns = 0
        self._epoch = self._count = 0
        self._is_upright = False
        self._time_code_ms = -1
        self._why, self._why_ns, self._is_rival = "", 0, False

    @property
    def port(self) -> int:
        """Where it listens, once it is open."""
        return int(self._socket.getsockname()[1])

    def open(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.bind((self._options.host, self._options.port))
        except OSError as error:
            self._socket.close()
            raise ConfigError(
                f"cannot listen on {self._options.host} port {self._options.port} (udp): {error.strerror}; "
                "another program has it, or the address is not of this computer"
            ) from error
        self._socket.settimeout(_WAIT_S)
        if self._clutch.topics:
            self._topics.open(self._clutch.topics)
        self._clutch.open()
        self._sender, self._why = None, ""

    def close(self) -> None:
        self._clutch.close()
        self._topics.close()
        if hasattr(self, "_socket"):
            self._socket.close()

    def run(self, deliver: Deliver) -> None:
        while not self.stopping.is_set():
            if self._clutch.topics:
                for heard in self._topics.take(0.0):
                    self._clutch.hear(heard)
            try:
                data, sender = self._socket.recvfrom(_LARGEST)
            except TimeoutError:
                continue
            self._take(data, sender, deliver)

    def silence(self) -> str:
        if not self.is_running:
            return "the device does not run"
        now_ns, sampled_ns = self._now_ns(), self._stream.last_arrival_ns
        is_quiet = sampled_ns is None or now_ns - sampled_ns > _QUIET_NS
        if self._why and now_ns - self._why_ns < _QUIET_NS and (is_quiet or self._is_rival):
            return self._why  # MVN may well send other types and characters beside ours
        if is_quiet:
            options = self._options
            return (
                f"nothing from MVN on {options.host} port {options.port} (udp); in MVN: Options, Network Streamer, "
                "add this computer's address and tick 'Position + Orientation (Quaternion)'"
            )
        return self._clutch.trouble()

    def counters(self) -> Mapping[str, int]:
        return {**self._counts, **self._assembly.counts, **self._stream.counters()}

    def _take(self, data: bytes, sender: _Address, deliver: Deliver) -> None:
        """Nothing that a datagram holds may end the thread: what is wrong with it is counted and told."""
        arrival_ns = self._now_ns()
        self._counts["datagrams"] += 1
        if not self._is_ours(sender):
            self._refuse("other_sender", f"datagrams come from {sender[0]} port {sender[1]} too; one MVN at a time")
            return
        try:
            part = read_datagram(data)
            if part.character != self._options.character:
                text = f"MVN sends character {part.character}, expected {self._options.character}: see xsens_character"
                self._refuse("other_character", text)
                return
            self._follow(sender)
            restarts = self._assembly.restarts
            sample = self._assembly.add(part)
            if self._assembly.restarts != restarts:
                self._begin()
            if sample is not None:
                self._deliver(sample, arrival_ns, deliver)
        except MvnError as error:
            self._refuse(error.reason, str(error))
        except MessageError as error:
            self._refuse("no_person", str(error))

    def _is_ours(self, sender: _Address) -> bool:
        if self._options.sender and sender[0] != self._options.sender:
            return False
        return self._sender in (None, sender) or time.monotonic_ns() - self._sender_ns > _SENDER_NS

    def _follow(self, sender: _Address) -> None:
        if sender != self._sender or time.monotonic_ns() - self._sender_ns > _QUIET_NS:
            if sender != self._sender:
                self._clock.reset()
            self._sender = sender
            counts, self._assembly = self._assembly.counts, SampleAssembly()
            self._assembly.counts = counts
            self._begin()
        self._sender_ns = time.monotonic_ns()

    def _begin(self) -> None:
        self._epoch += 1
        self._is_upright, self._time_code_ms = False, -1

    def _deliver(self, sample: MvnSample, arrival_ns: int, deliver: Deliver) -> None:
        """Raises MessageError when it is no person."""
        with np.errstate(invalid="ignore", over="ignore"):
            xsens_person.check_body(sample.body)
            if not self._is_upright:
                xsens_person.check_upright(sample.body)
                self._is_upright = True
            made = self._sample(sample, arrival_ns)
        self._stream.push(self._clutch.read(made), arrival_ns, deliver)

    def _sample(self, sample: MvnSample, arrival_ns: int) -> DeviceSample:
        left_hand = xsens_person.hand(sample.body, sample.fingers, "left")
        right_hand = xsens_person.hand(sample.body, sample.fingers, "right")
        # MVN's clock may stand still while it does not record: then samples are dated on arrival.
        runs = sample.time_code_ms != self._time_code_ms
        self._time_code_ms = sample.time_code_ms
        self._count += 1
        return DeviceSample(
            stamp_ns=self._clock.to_receiver_ns(sample.time_code_ms * 1_000_000, arrival_ns) if runs else None,
            sequence=self._count,
            epoch=self._epoch,
            clutch=False,
            head=xsens_person.head(sample.body),
            left_wrist=xsens_person.wrist(sample.body, "left"),
            right_wrist=xsens_person.wrist(sample.body, "right"),
            left_hand=left_hand,
            right_hand=right_hand,
        )

    def _refuse(self, reason: str, why: str) -> None:
        self._counts[reason] += 1
        self._why, self._why_ns, self._is_rival = why, self._now_ns(), reason == "other_sender"
