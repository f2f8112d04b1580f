"""A schema registry for tests: real HTTP on the loopback, in a thread, with the answers a test wants."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

UNKNOWN_ID = (404, json.dumps({"error_code": 40403, "message": "Schema not found"}))


class RegistryStub:
    """Answers by path; remembers the requests. ``hang`` lets every request wait until the stub is closed."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, str]] = {}
        self.requests: list[tuple[str, str, str | None]] = []
        self.bodies: list[bytes] = []
        self.hang = False
        self.closing = threading.Event()
        self.url = ""

    def put_schema(self, schema_id: int, schema: str, **more: object) -> None:
        self.answers[f"/schemas/ids/{schema_id}"] = (200, json.dumps({"schema": schema, **more}))

    def answer(self, method: str, path: str, authorization: str | None, body: bytes) -> tuple[int, str]:
        self.requests.append((method, path, authorization))
        self.bodies.append(body)
        if self.hang:
            self.closing.wait()
        return self.answers.get(path, UNKNOWN_ID)


@contextmanager
def registry_stub() -> Iterator[RegistryStub]:
    stub = RegistryStub()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, text = stub.answer(self.command, self.path, self.headers.get("Authorization"), body)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        do_POST = do_GET  # noqa: N815 - the name http.server looks for

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            """Keep the tests' output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign] # a client that gave up is what is tested
    stub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield stub
    finally:
        stub.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()
