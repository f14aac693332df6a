"""
Which files can a C{utps:} string name, and what is said about the others?
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from OpenSSL import SSL

from twisted_utp._tls_credentials import client_credentials, server_options


def own_certificate(options: Any) -> int:
    """
    The serial number of the certificate that a server shows.
    """
    serial: int = options.certificate.get_serial_number()
    return serial


def test_one_file(localhost: Any) -> None:
    """One file may hold the key and the certificate."""
    assert own_certificate(server_options({"privateKey": str(localhost.both)})) == localhost.serial


def test_full_chain(issue: Any, tmp_path: Path) -> None:
    """What stands behind our own certificate in its file, and in extraCertChain, is the chain."""
    root, middle = issue("root"), None
    middle = issue("middle", root)
    leaf = issue("leaf", middle)
    chain = tmp_path / "fullchain.crt"
    chain.write_bytes(leaf.certificate.read_bytes() + middle.certificate.read_bytes())
    for name in ("certificate", "certKey"):
        given = {"privateKey": str(leaf.key), name: str(chain), "extraCertChain": str(root.certificate)}
        options = server_options(given)
        assert own_certificate(options) == leaf.serial
        assert [one.get_serial_number() for one in options.extraCertChain] == [middle.serial, root.serial]


def test_wrong_files(localhost: Any, issue: Any, encrypted_key: Path, tmp_path: Path) -> None:
    """Each is a ValueError that names the key, the file and what was expected."""
    key, certificate = str(localhost.key), str(localhost.certificate)
    stranger = str(issue("stranger").certificate)
    nonsense = tmp_path / "nonsense"
    nonsense.write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    wrong: list[tuple[dict[str, str], str]] = [
        ({"privateKey": key}, r"^privateKey=.*expected a PEM file with a certificate"),
        ({"privateKey": certificate}, r"^privateKey=.*expected a PEM file with a private key"),
        ({"privateKey": str(encrypted_key)}, r"^privateKey=.*without a passphrase"),
        ({"privateKey": key, "certKey": key}, r"^certKey=.*expected a PEM file with a certificate"),
        ({"privateKey": key, "certKey": stranger}, r"^certKey=.*stranger.*does not match privateKey"),
        ({"privateKey": key, "certificate": stranger}, r"^certificate=.*stranger.*does not match privateKey"),
        ({"privateKey": key, "certKey": str(nonsense)}, r"^certKey=.*expected a PEM file with a certificate"),
        ({"privateKey": key, "certKey": certificate, "extraCertChain": key}, r"^extraCertChain=.*certificate"),
        ({"privateKey": key, "certKey": certificate, "dhParameters": key}, r"^dhParameters=.*openssl dhparam"),
        ({"privateKey": key, "certKey": certificate, "sslmethod": "no"}, r"^sslmethod='no': expected one of .*TLS_MET"),
    ]
    for given, message in wrong:
        with pytest.raises(ValueError, match=message):
            server_options(given)


def test_method(localhost: Any) -> None:
    """sslmethod is the name of a constant of OpenSSL.SSL, as in Twisted's ssl: strings."""
    with pytest.warns(DeprecationWarning):
        options = server_options({"privateKey": str(localhost.both), "sslmethod": "TLSv1_2_METHOD"})
    assert options.method == SSL.TLSv1_2_METHOD


def test_trust_in_a_directory(issue: Any, tmp_path: Path) -> None:
    """A directory's *.pem files are trusted; one without any is a mistake."""
    issue("one", folder=tmp_path / "roots")
    issue("two", folder=tmp_path / "roots")
    assert client_credentials("one", {"caCertsDir": str(tmp_path / "roots")}) is not None
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"^trustRoots=.*empty'.*would trust no server"):
        client_credentials("one", {"trustRoots": str(tmp_path / "empty")})


def test_client_certificate(localhost: Any, issue: Any) -> None:
    """A client may show a certificate of its own, whose key must be its own."""
    stranger = issue("stranger")
    client_credentials("host", {"certificate": str(localhost.both)})
    client_credentials("host", {"certKey": str(localhost.certificate), "privateKey": str(localhost.key)})
    with pytest.raises(ValueError, match=r"^certificate=.*does not match the key in privateKey"):
        client_credentials("host", {"certificate": str(localhost.certificate), "privateKey": str(stranger.key)})
