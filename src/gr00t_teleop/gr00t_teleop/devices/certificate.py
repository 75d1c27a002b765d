# SPDX-License-Identifier: Apache-2.0
"""The page's certificate: made at first use, kept with private permissions, refused when something is wrong with it.

A headset's browser gives a page its sensors over HTTPS only. The certificate signs itself; a person accepts it once
in the headset, or installs ``certificate.pem`` there, after comparing the fingerprint.
"""

import os
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from gr00t_policy.core.errors import ConfigError

_VALID = timedelta(days=397)  # Apple's browsers refuse longer ones
_CERTIFICATE, _KEY = "certificate.pem", "key.pem"


@dataclass(frozen=True)
class Certificate:
    """Files in PEM, and the SHA-256 fingerprint as browsers show it."""

    certificate: Path
    key: Path
    fingerprint: str


def certificate_in(folder: Path, now: datetime) -> Certificate:
    """The certificate of ``folder``, made if neither file is there. Raises ConfigError, saying what to do."""
    files = folder / _CERTIFICATE, folder / _KEY
    try:
        there = [file for file in files if file.exists()]
        if not there:
            _make(folder, now)
        elif len(there) == 1:
            missing = next(file for file in files if file not in there)
            raise ConfigError(f"{missing} is missing beside {there[0].name}; put it back, or remove both for new ones")
        return _checked(*files, now)
    except OSError as error:
        raise ConfigError(
            f"certificate in {folder}: {error.strerror or error}; make the folder and its files readable for this user, "
            "or name another in certificate_folder"
        ) from error


def server_context(certificate: Certificate) -> ssl.SSLContext:
    """TLS of a server with this certificate. Raises ConfigError when key and certificate do not belong together."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate.certificate, certificate.key)
    except ssl.SSLError as error:
        raise ConfigError(
            f"{certificate.key} and {certificate.certificate.name} do not belong together or are damaged "
            f"({error.reason}); remove both and new ones are made"
        ) from error
    return context


def _checked(certificate: Path, key: Path, now: datetime) -> Certificate:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    if key.stat().st_mode & 0o077:
        raise ConfigError(f"{key} may be read by others; run: chmod 600 {key}")
    with key.open("rb"):
        pass  # whether it is readable is known here, not in the middle of a session
    try:
        loaded = x509.load_pem_x509_certificate(certificate.read_bytes())
    except ValueError as error:
        raise ConfigError(
            f"{certificate} is no certificate; remove it and {key.name}, and new ones are made"
        ) from error
    if now >= loaded.not_valid_after_utc:
        raise ConfigError(
            f"{certificate} ran out on {loaded.not_valid_after_utc:%Y-%m-%d}; remove it and {key.name}, "
            "and new ones are made (accept them in the headset again)"
        )
    return Certificate(certificate, key, loaded.fingerprint(hashes.SHA256()).hex(":").upper())


def _make(folder: Path, now: datetime) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"GR00T operator page on {socket.gethostname()}"[:64])])
    names = [
        x509.DNSName(host)
        for host in dict.fromkeys(("localhost", socket.gethostname(), f"{socket.gethostname()}.local"))
    ]
    addresses = [x509.IPAddress(ip_address(address)) for address in own_addresses()]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))  # a headset's clock may be behind
        .not_valid_after(now + _VALID)
        .add_extension(x509.SubjectAlternativeName([*names, *addresses]), critical=False)
        # A headset installs a certificate for good only if it may sign, itself in this case.
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write_private(folder / _KEY, secret)
    _write_private(folder / _CERTIFICATE, made.public_bytes(pem))


def own_addresses() -> Sequence[str]:
    """Addresses of this machine: loopback, and the one that leads to the network if there is one."""
    found = ["127.0.0.1", "::1"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address for documentation (RFC 5737); UDP, nothing is sent
            found.append(probe.getsockname()[0])
        except OSError:
            return found  # no network
    return list(dict.fromkeys(found))


def _write_private(file: Path, content: bytes) -> None:
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        stream.write(content)


def utc_now() -> datetime:
    return datetime.now(UTC)
