"""Certificates of the tests' own: an authority, one for servers and one for clients, made by openssl."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class Certificates:
    """Files in a folder. A server takes the first three; a client shows its own where that is asked for."""

    def __init__(self, folder: Path) -> None:
        if shutil.which("openssl") is None:
            pytest.skip("openssl makes the certificates")
        self.authority, self._authority_key = folder / "ca.pem", folder / "ca.key"
        self.server, self.server_key = folder / "server.pem", folder / "server.key"
        self.client, self.client_key = folder / "client.pem", folder / "client.key"
        _openssl(
            "req", "-x509", *_KEY, "-days", "2", *self._to(self.authority, self._authority_key), "-subj", "/CN=ours"
        )
        self._sign(self.server, self.server_key, "127.0.0.1")
        self._sign(self.client, self.client_key, "agents")

    @staticmethod
    def _to(certificate: Path, key: Path) -> tuple[str, ...]:
        return ("-out", str(certificate), "-keyout", str(key))

    def _sign(self, certificate: Path, key: Path, name: str) -> None:
        request, names = certificate.with_suffix(".csr"), certificate.with_suffix(".names")
        names.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n", encoding="utf-8")
        _openssl("req", *_KEY, *self._to(request, key), "-subj", f"/CN={name}")
        by = ("-CA", str(self.authority), "-CAkey", str(self._authority_key), "-CAcreateserial")
        _openssl(
            "x509", "-req", "-in", str(request), *by, "-days", "2", "-out", str(certificate), "-extfile", str(names)
        )

    @property
    def query(self) -> str:
        """What a client's URL says after the question mark."""
        return f"ssl_ca_certs={self.authority}&ssl_certfile={self.client}&ssl_keyfile={self.client_key}"

    @property
    def lines(self) -> list[str]:
        """What a server's configuration says, also of how it talks to others: names and values in turn."""
        files = {"ca-cert-file": self.authority, "cert-file": self.server, "key-file": self.server_key}
        words = [word for name, path in files.items() for word in (f"tls-{name}", str(path))]
        return [*words, "tls-auth-clients", "yes", "tls-replication", "yes", "tls-cluster", "yes"]


def _openssl(*args: str) -> None:
    subprocess.run(["openssl", *args], check=True, capture_output=True)
