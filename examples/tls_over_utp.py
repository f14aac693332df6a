"""
TLS over uTP: Twisted's endpoint wrappers with a certificate made on the spot (needs the tls extra)::

    python examples/tls_over_utp.py utp:8443

(wrapServerTLS is newer than Twisted 24.7: there, listen with a TLSMemoryBIOFactory around the factory.)
"""

from __future__ import annotations

import sys
from datetime import datetime, timedelta, timezone
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from twisted.internet import endpoints, ssl, task
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.protocols.basic import LineReceiver


class Greeter(LineReceiver):
    """
    Greets whoever connects, by name.
    """

    def lineReceived(self, line: bytes) -> None:
        """
        One greeting, then hang up.
        """
        self.sendLine(b"hello " + line)
        self.transport.loseConnection()  # type: ignore[union-attr]


class Guest(LineReceiver):
    """
    Introduces itself and keeps the greeting.
    """

    def __init__(self) -> None:
        self.greeting: Deferred[bytes] = Deferred()

    def lineReceived(self, line: bytes) -> None:
        """
        The greeting.
        """
        self.greeting.callback(line)


def make_certificate(name: str) -> ssl.PrivateCertificate:
    """
    A key and a certificate for a host name, signed by itself.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, pkcs8, plain = Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    both = certificate.public_bytes(pem) + key.private_bytes(pem, pkcs8, plain)
    private: ssl.PrivateCertificate = ssl.PrivateCertificate.loadPEM(both)
    return private


async def main(reactor: Any, endpoint: str = "utp:8443") -> None:
    """
    Serve TLS, connect, verify the certificate, print the greeting.
    """
    certificate = make_certificate("localhost")
    server = endpoints.wrapServerTLS(certificate.options(), endpoints.serverFromString(reactor, endpoint))
    port: Any = await server.listen(Factory.forProtocol(Greeter))
    trusted = ssl.optionsForClientTLS("localhost", trustRoot=certificate)
    plain = endpoints.clientFromString(reactor, f"utp:127.0.0.1:{port.getHost().port}")
    guest: Any = await endpoints.wrapClientTLS(trusted, plain).connect(Factory.forProtocol(Guest))
    guest.sendLine(b"guest")
    greeting = await guest.greeting
    server_name = guest.transport.getPeerCertificate().to_cryptography().subject.rfc4514_string()
    print(f"{greeting.decode()}, said {server_name}", flush=True)
    await port.stopListening()


if __name__ == "__main__":
    task.react(lambda reactor, *arguments: Deferred.fromCoroutine(main(reactor, *arguments)), sys.argv[1:])
