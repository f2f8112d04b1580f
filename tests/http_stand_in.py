"""Stand-ins for the APIs that the examples call: real HTTP on the loopback, which fails in the ways such APIs fail."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit


class Request(NamedTuple):
    """A request; ``path`` has its parts unquoted."""

    method: str
    path: tuple[str, ...]
    query: dict[str, str]
    body: Any
    authorization: str | None = None

    @property
    def line(self) -> str:
        return f"{self.method} /{'/'.join(self.path)}"


class Answer(NamedTuple):
    status: int
    body: Any = None
    headers: tuple[tuple[str, str], ...] = ()


class Fault(NamedTuple):
    """What happens to a request whose line starts with ``line``.

    With ``answer`` it gets that, undone. With ``in_between`` it is done, then that is called, and nothing is answered.
    """

    line: str
    answer: Answer | None = None
    in_between: Callable[[], object] | None = None


class StandIn:
    """Keeps what it is told in dictionaries; one request at a time. ``faults`` happen in their order, each once."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.requests: list[Request] = []
        self.url = ""
        self._lock = threading.Lock()

    def do(self, request: Request) -> Answer:
        """The work of the API."""
        raise NotImplementedError

    def refuse(self, line: str, status: int, *, times: int = 1, retry_after: str | None = None) -> None:
        headers = () if retry_after is None else (("Retry-After", retry_after),)
        self.faults += [Fault(line, answer=Answer(status, {"error": "planted"}, headers))] * times

    def cut_after(self, line: str, in_between: Callable[[], object] = lambda: None) -> None:
        """The work is done, the answer never comes."""
        self.faults.append(Fault(line, in_between=in_between))

    def lines(self, start: str) -> list[str]:
        """The requests that started so, in order."""
        return [request.line for request in self.requests if request.line.startswith(start)]

    def handle(self, request: Request) -> Answer | None:
        with self._lock:
            self.requests.append(request)
            fault = next((fault for fault in self.faults if request.line.startswith(fault.line)), None)
            if fault is not None:
                self.faults.remove(fault)
                if fault.answer is not None:
                    return fault.answer
            answer = self.do(request)
        if fault is None:
            return answer
        assert fault.in_between is not None
        fault.in_between()
        return None

    @contextmanager
    def listening(self, port: int = 0) -> Iterator[None]:
        """Serve; again later on the same port, as if it had been away."""
        server = ThreadingHTTPServer(("127.0.0.1", port), handler_of(self))
        self.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def handler_of(stand_in: StandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            address = urlsplit(self.path)
            text = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            path = tuple(unquote(part) for part in address.path.strip("/").split("/"))
            body = json.loads(text) if text else None
            authorization = self.headers.get("Authorization")
            request = Request(self.command, path, dict(parse_qsl(address.query)), body, authorization)
            answer = stand_in.handle(request)
            if answer is None:
                self.close_connection = True
                return
            reply = b"" if answer.body is None else json.dumps(answer.body).encode()
            self.send_response(answer.status)
            for name, value in (*answer.headers, ("Content-Length", str(len(reply)))):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply)

        do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815 - the names http.server looks for

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            """Keep the tests' output clean."""

    return Handler


NOT_THERE = Answer(404, {"error": "not there"})


class Crm(StandIn):
    """Contacts and tasks by external id."""

    def __init__(self) -> None:
        super().__init__()
        self.contacts: dict[str, dict[str, Any]] = {}
        self.tasks: dict[str, dict[str, Any]] = {}

    def do(self, request: Request) -> Answer:
        if request.path[0] == "contacts":
            return self._contacts(request)
        if request.path[0] == "tasks":
            return self._tasks(request)
        return NOT_THERE

    def _contacts(self, request: Request) -> Answer:
        if len(request.path) == 1:
            return Answer(200, having(self.contacts, request.query))
        name = request.path[1]
        if request.method == "PUT":
            self.contacts.setdefault(name, {"external_id": name})
        if name not in self.contacts:
            return NOT_THERE
        if request.method in ("PUT", "PATCH"):
            self.contacts[name].update(request.body)
        return Answer(200, self.contacts[name])

    def _tasks(self, request: Request) -> Answer:
        if request.method == "POST":
            return self._new_task(request.body)
        if len(request.path) == 1:
            return Answer(200, having(self.tasks, request.query))
        task = self.tasks.get(request.path[1])
        if task is None:
            return NOT_THERE
        if request.method == "DELETE":
            del self.tasks[request.path[1]]
        elif request.method == "PATCH":
            return self._change_task(task, request.body)
        return Answer(200, task)

    def _new_task(self, task: dict[str, Any]) -> Answer:
        if task["external_id"] in self.tasks:
            return Answer(409, {"error": "there is one already"})
        self.tasks[task["external_id"]] = task
        return Answer(201, task)

    def _change_task(self, task: dict[str, Any], change: dict[str, Any]) -> Answer:
        new_id = change.get("external_id", task["external_id"])
        if new_id != task["external_id"] and new_id in self.tasks:
            return Answer(409, {"error": "there is one already"})
        del self.tasks[task["external_id"]]
        task.update(change)
        self.tasks[new_id] = task
        return Answer(200, task)


def having(rows: dict[str, dict[str, Any]], query: dict[str, str]) -> list[dict[str, Any]]:
    return [row for row in rows.values() if all(row.get(name) == value for name, value in query.items())]


class EmailTool(StandIn):
    """Tags of subscribers; flows that each id starts once."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[tuple[str, str]] = set()
        self.started: dict[str, tuple[str, str]] = {}

    def do(self, request: Request) -> Answer:
        match request.method, request.path:
            case "PUT", ("subscribers", subscriber, "tags", tag):
                self.tags.add((subscriber, tag))
            case "DELETE", ("subscribers", subscriber, "tags", tag):
                if (subscriber, tag) not in self.tags:
                    return NOT_THERE
                self.tags.remove((subscriber, tag))
            case "DELETE", ("subscribers", subscriber, "flows"):
                self.started = {key: start for key, start in self.started.items() if start[0] != subscriber}
            case "POST", ("flows", flow, "starts"):
                if request.body["id"] in self.started:
                    return Answer(409)
                self.started[request.body["id"]] = (request.body["subscriber"], flow)
            case _:
                return NOT_THERE
        return Answer(200, {})


class Channel(StandIn):
    """A chat channel behind a webhook."""

    def __init__(self) -> None:
        super().__init__()
        self.posts: list[str] = []

    def do(self, request: Request) -> Answer:
        self.posts.append(request.body["text"])
        return Answer(200)
