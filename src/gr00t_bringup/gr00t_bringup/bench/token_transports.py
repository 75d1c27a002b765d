# SPDX-License-Identifier: Apache-2.0
"""Ways for a message of tokens to travel, each as the Fast DDS profile that makes it; ``nodes`` is what the nodes do anyway."""

from collections.abc import Mapping
from pathlib import Path

from gr00t_policy.core.errors import ConfigError

_SOCKETS = """<transport_descriptor>
        <transport_id>sockets</transport_id>
        <type>UDPv4</type>
        <receiveBufferSize>{receive_bytes}</receiveBufferSize>
        <interfaceWhiteList><address>127.0.0.1</address></interfaceWhiteList>
        <maxInitialPeersRange>64</maxInitialPeersRange>
      </transport_descriptor>"""
_MEMORY = """<transport_descriptor>
        <transport_id>memory</transport_id>
        <type>SHM</type>
        <segment_size>{segment_bytes}</segment_size>
        <maxMessageSize>{message_bytes}</maxMessageSize>
      </transport_descriptor>"""
_PEERS = """
        <builtin><initialPeersList>
          <locator><udpv4><address>127.0.0.1</address></udpv4></locator>
        </initialPeersList></builtin>"""
_PROFILE = """<?xml version="1.0" encoding="UTF-8"?>
<dds xmlns="http://www.eprosima.com/XMLSchemas/fastRTPS_Profiles">
  <profiles>
    <transport_descriptors>
      {transport}
    </transport_descriptors>
    <participant profile_name="bench" is_default_profile="true">
      <rtps>
        <useBuiltinTransports>false</useBuiltinTransports>
        <userTransports><transport_id>{name}</transport_id></userTransports>{peers}
      </rtps>
    </participant>
  </profiles>
</dds>
"""
# What Linux gives a socket unless net.core.rmem_max is raised.
_KERNEL_DEFAULT_BYTES = 212_992
# Fast DDS's own: a segment of 512 kB, filled in pieces of 64 kB.
_SEGMENT_BYTES, _FRAGMENT_BYTES = 524_288, 65_500
# Room for sixteen messages of a megabyte, none of them cut in pieces.
_LARGE_SEGMENT_BYTES, _LARGE_MESSAGE_BYTES = 33_554_432, 2_097_152

TRANSPORTS = {
    "nodes": "as planner and controller start here: sockets, unless the user decides otherwise",
    "small_sockets": "sockets with the buffer that Linux gives where net.core.rmem_max was never raised",
    "shared_memory": "Fast DDS' shared memory as it comes: a segment of 0.5 MB",
    "large_shared_memory": "shared memory with a segment of 32 MB, messages in one piece",
}


def transport_environment(name: str, folder: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """What to change in ``environment`` for this transport; its profile is written into ``folder``. Raises ConfigError."""
    if name not in TRANSPORTS:
        raise ConfigError(f"there is no transport '{name}'; choose of: {', '.join(TRANSPORTS)}")
    profile = _profile(name)
    if not profile:
        return {}
    file = folder / f"{name}.xml"
    file.write_text(profile)
    # LOCALHOST would have the middleware choose transports of its own.
    changes = {
        "FASTRTPS_DEFAULT_PROFILES_FILE": str(file.absolute()),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "SYSTEM_DEFAULT",
    }
    return changes | ({"ROS_LOCALHOST_ONLY": "0"} if "ROS_LOCALHOST_ONLY" in environment else {})


def _profile(name: str) -> str:
    if name == "small_sockets":
        return _PROFILE.format(
            transport=_SOCKETS.format(receive_bytes=_KERNEL_DEFAULT_BYTES), name="sockets", peers=_PEERS
        )
    if name == "shared_memory":
        memory = _MEMORY.format(segment_bytes=_SEGMENT_BYTES, message_bytes=_FRAGMENT_BYTES)
        return _PROFILE.format(transport=memory, name="memory", peers="")
    if name == "large_shared_memory":
        memory = _MEMORY.format(segment_bytes=_LARGE_SEGMENT_BYTES, message_bytes=_LARGE_MESSAGE_BYTES)
        return _PROFILE.format(transport=memory, name="memory", peers="")
    return ""
