"""A Kafka and a Redis that want TLS and a login and allow what was allowed, with certificates made at the time.

Kafka has a listener for passwords and tokens (SASL_SSL: SCRAM-SHA-512, OAUTHBEARER) and one for client certificates
(SSL); ``worker`` is the same principal on both. Redis wants a client certificate and, of ``worker``, a password.
"""

import base64
import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

from tests.debian_redis import tls_redis_binary
from tests.servers import (
    LOOPBACK,
    KafkaSecurity,
    KafkaServer,
    RedisServer,
    free_ports,
    start_kafka_with,
    start_redis_process,
    start_sentinel_process,
)

PASSWORDS = {"admin": "admin-secret", "worker": "worker-secret"}
"""Of Kafka's users: the first may do everything, the other what ACLs allow."""
CLIENT_SECRET = "client-secret"
AUDIENCE = "kafka"
_EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")


@dataclass(frozen=True, slots=True)
class Certificate:
    """The files of a key and of the certificate for it."""

    key: Path
    certificate: Path

    def joined(self) -> Path:
        """One file with both, as Kafka's brokers read them."""
        path = self.key.with_suffix(".joined.pem")
        path.write_text(self.key.read_text() + self.certificate.read_text())
        return path


class Authority:
    """Signs certificates; ``certificate`` is the file that those trust who trust it."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self.folder = folder
        self._own = Certificate(folder / f"{name}.key", folder / f"{name}.pem")
        self.certificate = self._own.certificate
        _make_certificate(self._own, name)

    def issue(self, name: str, host: str = f"IP:{LOOPBACK}") -> Certificate:
        """For the name, and for a server at the host."""
        made = Certificate(self.folder / f"{name}.key", self.folder / f"{name}.pem")
        signed = ("-CA", str(self.certificate), "-CAkey", str(self._own.key))
        extensions = ("-addext", f"subjectAltName={host}", "-addext", "basicConstraints=critical,CA:FALSE")
        _make_certificate(made, name, *signed, *extensions)
        return made


def _make_certificate(made: Certificate, name: str, *more: str) -> None:
    files = ("-keyout", str(made.key), "-out", str(made.certificate))
    _openssl("req", "-x509", *_EC, "-nodes", "-days", "2", "-subj", f"/CN={name}", *files, *more)


def _openssl(*words: str, content: bytes = b"") -> bytes:
    return subprocess.run(["openssl", *words], input=content, capture_output=True, check=True, timeout=30).stdout


# Kafka


@dataclass(frozen=True, slots=True)
class SecuredKafka:
    """``server`` logs in as the administrator, with a password; ``mutual_bootstrap`` wants client certificates."""

    server: KafkaServer
    mutual_bootstrap: str
    authority: Authority
    tokens: "TokenKey"

    def __str__(self) -> str:
        return f"{self.server}, with TLS and logins"

    def scram_login(self, user: str, password: str | None = None) -> dict[str, str]:
        """The properties of a client that logs in with a password."""
        return scram_login(self.authority, user, password)


def scram_login(authority: Authority, user: str, password: str | None = None) -> dict[str, str]:
    return {
        "security.protocol": "SASL_SSL",
        "ssl.ca.location": str(authority.certificate),
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": user,
        "sasl.password": PASSWORDS[user] if password is None else password,
    }


def start_secured_kafka(authority: Authority) -> SecuredKafka:
    """A Kafka process of its own; ``ServerNotAvailable`` without Java."""
    tokens = TokenKey(authority.folder)
    port, mutual_port, controller_port = free_ports(3)
    security = KafkaSecurity(
        "SASL_SSL",
        (port, controller_port),
        scram_login(authority, "admin"),
        [f"--add-scram=SCRAM-SHA-512=[name={user},password={secret}]" for user, secret in PASSWORDS.items()],
        [f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.{what}={tokens.public.as_uri()}" for what in ("urls", "files")],
    )
    listeners = f"SASL_SSL://{LOOPBACK}:{port},SSL://{LOOPBACK}:{mutual_port}"
    own = {
        "listeners": f"{listeners},CONTROLLER://{LOOPBACK}:{controller_port}",
        "advertised.listeners": listeners,
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL",
        "inter.broker.listener.name": "SSL",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:admin;User:broker;User:ANONYMOUS",
        **_tls_settings(authority),
        **_sasl_settings(tokens),
    }
    server = start_kafka_with(security, [f"{name}={setting}" for name, setting in own.items()])
    return SecuredKafka(server, f"{LOOPBACK}:{mutual_port}", authority, tokens)


def _tls_settings(authority: Authority) -> Mapping[str, str]:
    return {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(authority.issue("broker").joined()),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(authority.certificate),
        "listener.name.ssl.ssl.client.auth": "required",
        "ssl.principal.mapping.rules": "RULE:^CN=(.*?)(,.*)?$/$1/,DEFAULT",
    }


def _sasl_settings(tokens: "TokenKey") -> Mapping[str, str]:
    modules = "org.apache.kafka.common.security"
    of_tokens = "listener.name.sasl_ssl.oauthbearer."
    return {
        "sasl.enabled.mechanisms": "SCRAM-SHA-512,OAUTHBEARER",
        "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": f"{modules}.scram.ScramLoginModule required;",
        f"{of_tokens}sasl.jaas.config": f"{modules}.oauthbearer.OAuthBearerLoginModule required;",
        f"{of_tokens}sasl.server.callback.handler.class": f"{modules}.oauthbearer.OAuthBearerValidatorCallbackHandler",
        f"{of_tokens}sasl.oauthbearer.jwks.endpoint.url": tokens.public.as_uri(),
        f"{of_tokens}sasl.oauthbearer.expected.audience": AUDIENCE,
    }


class TokenKey:
    """Signs tokens as an identity provider does; ``public`` is the file by which a broker checks them."""

    def __init__(self, folder: Path) -> None:
        self._key = folder / "tokens.key"
        self.public = folder / "jwks.json"
        _openssl("genrsa", "-out", str(self._key), "2048")
        modulus = _openssl("rsa", "-in", str(self._key), "-noout", "-modulus").decode().strip().partition("=")[2]
        key = {
            "kty": "RSA",
            "alg": "RS256",
            "use": "sig",
            "kid": "k1",
            "n": _base64(bytes.fromhex(modulus)),
            "e": "AQAB",
        }
        self.public.write_text(json.dumps({"keys": [key]}))

    def token(self, subject: str, lifetime_s: int = 3_600) -> str:
        """A signed token that says who one is, and for how long."""
        now_s = int(time.time())
        claims = {"sub": subject, "aud": AUDIENCE, "iat": now_s, "exp": now_s + lifetime_s, "scope": "kafka"}
        parts = [_base64(json.dumps(part).encode()) for part in ({"alg": "RS256", "kid": "k1"}, claims)]
        signature = _openssl("dgst", "-sha256", "-sign", str(self._key), content=".".join(parts).encode())
        return ".".join([*parts, _base64(signature)])


@contextmanager
def token_endpoint(key: TokenKey) -> Iterator[str]:
    """Where a client gets a token for its id and secret; the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            login = base64.b64decode(self.headers["Authorization"].removeprefix("Basic ")).decode()
            user, _, secret = login.partition(":")
            is_right = secret == CLIENT_SECRET
            body = json.dumps({"access_token": key.token(user)} if is_right else {"error": "invalid_client"}).encode()
            self.send_response(HTTPStatus.OK if is_right else HTTPStatus.UNAUTHORIZED)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Requests are not logged."""

    with ThreadingHTTPServer((LOOPBACK, 0), Handler) as server:
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://{LOOPBACK}:{server.server_port}/token"
        server.shutdown()


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


# Redis


def start_secured_redis(authority: Authority) -> RedisServer:
    """Its address is the one of the administrator; ``ServerNotAvailable`` where no Redis with TLS can be had."""
    (port,) = free_ports(1)
    options = [word for name, setting in _of_redis(authority, "redis", port).items() for word in (f"--{name}", setting)]
    url = f"rediss://{LOOPBACK}:{port}/0?{tls_options(authority, authority.issue('redis-admin'))}"
    return start_redis_process("tls-redis", tls_redis_binary().program, options, url)


def start_secured_sentinel(authority: Authority, service: str, master: RedisServer) -> RedisServer:
    """A Sentinel that wants TLS and a client certificate, and watches a Redis that does."""
    (port,) = free_ports(1)
    own = {**_of_redis(authority, "sentinel", port), "tls-replication": "yes"}
    watch = f"sentinel monitor {service} {LOOPBACK} {urlsplit(master.url).port} 1"
    settings = [*(f"{name} {setting}" for name, setting in own.items()), watch]
    url = f"rediss://{LOOPBACK}:{port}?{tls_options(authority, authority.issue('sentinel-admin'))}"
    return start_sentinel_process(tls_redis_binary().program, settings, url)


def _of_redis(authority: Authority, name: str, port: int) -> Mapping[str, str]:
    """Settings that servers and Sentinels have in common."""
    own = authority.issue(name)
    return {
        "port": "0",
        "tls-port": str(port),
        "tls-cert-file": str(own.certificate),
        "tls-key-file": str(own.key),
        "tls-ca-cert-file": str(authority.certificate),
        "tls-auth-clients": "yes",
    }


def tls_options(authority: Authority, certificate: Certificate) -> str:
    """What follows the ``?`` in the address of such a Redis."""
    return f"ssl_ca_certs={authority.certificate}&ssl_certfile={certificate.certificate}&ssl_keyfile={certificate.key}"
