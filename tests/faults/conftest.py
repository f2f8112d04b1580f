"""What the experiments take from the tests of whole workers."""

from tests.e2e.conftest import deploy, node_modules

__all__ = ["deploy", "node_modules"]
