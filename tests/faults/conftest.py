"""What the experiments take from the tests of whole workers."""

from tests.e2e.conftest import deploy

__all__ = ["deploy"]
