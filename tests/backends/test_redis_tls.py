"""TLS, in both colours and on the wake-up connection."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from comity.errors import BackendUnavailable, BackendUnfit
from comity_redis.address import Address
from comity_redis.runner import RedisRunner
from tests.backends.calls import ask, once
from tests.servers import free_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.servers import Server


def test_tls_serves_both_colours_and_the_listener(start_redis: Callable[..., Server], tmp_path: Path) -> None:
    _certificate(tmp_path)
    port = free_port()
    start_redis(
        *("tls-port", str(port), "tls-auth-clients", "no", "tls-ca-cert-file", str(tmp_path / "cert.pem")),
        *("tls-cert-file", str(tmp_path / "cert.pem"), "tls-key-file", str(tmp_path / "key.pem")),
    )
    url = f"rediss://127.0.0.1:{port}/1?ssl_ca_certs={tmp_path / 'cert.pem'}"
    runner = RedisRunner(Address.parse(url))
    assert ask(runner, "PING").run(5) == b"PONG"
    assert asyncio.run(once(url, "PING")) == b"PONG"
    started = time.monotonic()
    with pytest.raises(BackendUnavailable, match="silent"):
        ask(runner, "BLPOP", "never", 0).run(0.2)
    assert time.monotonic() - started < 0.5
    listener = runner.listener()
    listener.subscribe(b"news")
    assert listener.next(5) == [(b"news",)]
    ask(runner, "PUBLISH", "news", b"x" * 100_000).run(5)
    heard = listener.next(5)
    assert [len(part) for part in heard[0]] == [4, 100_000]
    listener.close()
    runner.close()
    untrusting = RedisRunner(Address.parse(f"rediss://127.0.0.1:{port}"))
    with pytest.raises(BackendUnfit, match="certificate"):
        ask(untrusting, "PING").run(5)
    untrusting.close()


def _certificate(folder: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate")
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    name = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(["openssl", "req", "-x509", *kind, *files, *name], check=True, capture_output=True)
