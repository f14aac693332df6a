"""
Which keys and certificates are there to test with?
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


@dataclass
class Identity:
    """
    A key and its certificate, in files.

    @ivar both: one file with both.
    """

    key: Path
    certificate: Path
    both: Path
    serial: int
    issued_by: tuple[Any, Any]


Issue = Callable[..., Identity]


def encode_key(key: Any, password: bytes | None = None) -> bytes:
    """
    As a PEM file has it.
    """
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    encoded: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    return encoded


@pytest.fixture
def issue(tmp_path: Path) -> Issue:
    """
    C{issue(name, signer=None, folder=...)} makes a key and a certificate for a DNS name,
    signed by itself or by another.
    """
    counter = itertools.count(1)

    def make(name: str, signer: Identity | None = None, folder: Path | None = None) -> Identity:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer, signing = signer.issued_by if signer is not None else (subject, key)
        now, serial = datetime.now(timezone.utc), next(counter)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(serial)
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(signing, hashes.SHA256())
        )
        folder = folder or tmp_path
        folder.mkdir(exist_ok=True)
        stem = name.replace("*", "any")
        paths = [folder / f"{stem}.key", folder / f"{stem}.crt", folder / f"{stem}.pem"]
        paths[0].write_bytes(encode_key(key))
        paths[1].write_bytes(certificate.public_bytes(Encoding.PEM))
        paths[2].write_bytes(paths[1].read_bytes() + paths[0].read_bytes())
        return Identity(paths[0], paths[1], paths[2], serial, (subject, key))

    return make


@pytest.fixture
def localhost(issue: Issue) -> Identity:
    """
    A certificate for localhost, signed by itself.
    """
    return issue("localhost")


@pytest.fixture
def encrypted_key(tmp_path: Path) -> Path:
    """
    A key that needs a passphrase.
    """
    path = tmp_path / "encrypted.key"
    path.write_bytes(encode_key(ec.generate_private_key(ec.SECP256R1()), b"secret"))
    return path
