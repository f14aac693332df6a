"""
Loads the certificates, keys and trusted authorities that a C{utps:} string names.

Whatever cannot be used is a C{ValueError} that names the key as it was written, the file and what was expected:
when the string is parsed, not when the first peer connects.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from OpenSSL import SSL, crypto
from twisted.internet.ssl import (
    Certificate,
    CertificateOptions,
    DiffieHellmanParameters,
    KeyPair,
    PrivateCertificate,
    optionsForClientTLS,
    trustRootFromCertificates,
)
from twisted.python.filepath import FilePath

_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)

# For a server, on a stream.
_METHODS = re.compile(r"(SSL|TLS)(v[0-9_]+)?_METHOD")

# OpenSSL would ask for the passphrase of such a key on the terminal, which a server does not have.
_ENCRYPTED = b"ENCRYPTED"


def server_options(given: Mapping[str, str]) -> CertificateOptions:
    """
    What a server shows.

    @param given: the keys of the string: C{privateKey}, and perhaps C{certificate} (or C{certKey}), C{extraCertChain},
        C{dhParameters} and C{sslmethod}.
    @raise ValueError: see the module.
    """
    key = _load_key("privateKey", given["privateKey"])
    # A file that Let's Encrypt's client calls "fullchain" has the intermediate certificates behind our own.
    named = _certificate_key(given)
    holder = named if named in given else "privateKey"
    own, *chain = _load_certificates(holder, given[holder])
    if "extraCertChain" in given:
        chain += _load_certificates("extraCertChain", given["extraCertChain"])
    options = CertificateOptions(
        privateKey=key.original,
        certificate=own.original,
        extraCertChain=[certificate.original for certificate in chain],
        dhParameters=_load_dh_parameters(given.get("dhParameters")),
        **_method(given.get("sslmethod")),
    )
    try:
        options.getContext()
    except SSL.Error:
        raise ValueError(f"{holder}={given[holder]!r}: the certificate does not match privateKey") from None
    return options


def client_credentials(host: str, given: Mapping[str, str]) -> Any:
    """
    Whom a client trusts, and what it shows.

    @param host: whom the certificate must name, unless C{hostname} says otherwise.
    @param given: the keys of the string.
    @return: an C{IOpenSSLClientConnectionCreator}.
    @raise ValueError: see the module.
    """
    roots = "caCertsDir" if "caCertsDir" in given else "trustRoots"
    name = given.get("hostname", host).partition("%")[0]  # a scope id is no part of a certificate's address
    try:
        return optionsForClientTLS(
            name,
            trustRoot=_load_trust_roots(roots, given[roots]) if roots in given else None,
            clientCertificate=_load_client_certificate(given),
        )
    except UnicodeError:
        raise ValueError(f"hostname={name!r}: expected a host name or an address") from None


def read_file(key: str, name: str) -> bytes:
    """
    A file that a key names.

    @raise ValueError: when it cannot be read.
    """
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise ValueError(f"{key}={name!r}: {error.strerror}; expected a PEM file that can be read") from None


def _load_key(key: str, name: str) -> KeyPair:
    data = read_file(key, name)
    if _ENCRYPTED in data:
        raise ValueError(f"{key}={name!r}: expected a private key without a passphrase (openssl pkey removes it)")
    try:
        return KeyPair.load(data, crypto.FILETYPE_PEM)
    except (crypto.Error, ValueError, TypeError):
        raise ValueError(f"{key}={name!r}: expected a PEM file with a private key") from None


def _load_certificates(key: str, name: str) -> list[Certificate]:
    try:
        found = [Certificate.loadPEM(pem) for pem in _CERTIFICATE.findall(read_file(key, name))]
    except (crypto.Error, SSL.Error):
        found = []
    if not found:
        raise ValueError(f"{key}={name!r}: expected a PEM file with a certificate")
    return found


def _certificate_key(given: Mapping[str, str]) -> str:
    """
    Which of its two names has the certificate here?
    """
    return "certKey" if "certKey" in given else "certificate"


def _load_client_certificate(given: Mapping[str, str]) -> PrivateCertificate | None:
    key = _certificate_key(given)
    if key not in given:
        if "privateKey" in given:
            raise ValueError(f"privateKey={given['privateKey']!r}: expected a certificate as well")
        return None
    holder = "privateKey" if "privateKey" in given else key
    pair = _load_key(holder, given[holder])
    own = _load_certificates(key, given[key])[0]
    if own.getPublicKey().keyHash() != pair.keyHash():
        raise ValueError(f"{key}={given[key]!r}: the certificate does not match the key in {holder}")
    certificate: PrivateCertificate = PrivateCertificate.fromCertificateAndKeyPair(own, pair)
    return certificate


def _load_trust_roots(key: str, name: str) -> Any:
    """
    A file with certificates, or a directory of such, named C{*.pem}; Twisted takes the latter only.
    """
    if not os.path.isdir(name):
        return trustRootFromCertificates(_load_certificates(key, name))
    files = sorted(path for path in Path(name).iterdir() if path.suffix.lower() == ".pem")
    if not files:
        raise ValueError(f"{key}={name!r}: expected *.pem files in it; without them the client would trust no server")
    return trustRootFromCertificates(
        {
            certificate.digest(): certificate for path in files for certificate in _load_certificates(key, str(path))
        }.values()
    )


def _load_dh_parameters(name: str | None) -> DiffieHellmanParameters | None:
    if name is None:
        return None
    if b"DH PARAMETERS" not in read_file("dhParameters", name):
        raise ValueError(f"dhParameters={name!r}: expected a PEM file that openssl dhparam wrote")
    parameters: DiffieHellmanParameters = DiffieHellmanParameters.fromFile(FilePath(name))
    return parameters


def _method(name: str | None) -> dict[str, Any]:
    if name is None:
        return {}
    known = sorted(filter(_METHODS.fullmatch, dir(SSL)))
    if name not in known:
        raise ValueError(f"sslmethod={name!r}: expected one of {', '.join(known)}")
    return {"method": getattr(SSL, name)}
