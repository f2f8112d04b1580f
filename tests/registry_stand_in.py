"""A stand-in for a schema registry: keeps the schemas that it is given, and answers as Confluent's registry does.

It checks nothing of a schema and knows no compatibility; the ids of one schema are the same under every subject.
"""

from typing import Any

from tests.http_stand_in import Answer, Request, StandIn

NO_SUBJECT, NO_VERSION, NO_SCHEMA = 40401, 40402, 40403


class Registry(StandIn):
    """Versions by subject, schemas by id, both counted from 1."""

    def __init__(self) -> None:
        super().__init__()
        self._schemas: list[str] = []
        self._versions: dict[str, list[int]] = {}

    def do(self, request: Request) -> Answer:
        match (request.method, *request.path):
            case ("POST", "subjects", subject, "versions"):
                return self._register(subject, request.body["schema"])
            case ("GET", "subjects", subject, "versions", version):
                return self._version(subject, version)
            case ("GET", "subjects"):
                return Answer(200, sorted(self._versions))
            case ("GET", "schemas", "ids", number):
                return self._schema(int(number))
        return _error(404, 404, "HTTP 404 Not Found")

    def _register(self, subject: str, schema: str) -> Answer:
        if schema not in self._schemas:
            self._schemas.append(schema)
        schema_id = self._schemas.index(schema) + 1
        versions = self._versions.setdefault(subject, [])
        if schema_id not in versions:
            versions.append(schema_id)
        return Answer(200, {"id": schema_id})

    def _version(self, subject: str, version: str) -> Answer:
        versions = self._versions.get(subject)
        if versions is None:
            return _error(404, NO_SUBJECT, f"Subject '{subject}' not found.")
        number = len(versions) if version == "latest" else int(version)
        if not 1 <= number <= len(versions):
            return _error(404, NO_VERSION, f"Version {version} not found.")
        schema_id = versions[number - 1]
        body: dict[str, Any] = {"subject": subject, "version": number, "id": schema_id}
        return Answer(200, body | {"schema": self._schemas[schema_id - 1]})

    def _schema(self, schema_id: int) -> Answer:
        if not 1 <= schema_id <= len(self._schemas):
            return _error(404, NO_SCHEMA, "Schema not found")
        return Answer(200, {"schema": self._schemas[schema_id - 1]})


def _error(status: int, code: int, message: str) -> Answer:
    return Answer(status, {"error_code": code, "message": message})
