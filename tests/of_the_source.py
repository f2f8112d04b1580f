"""Tests that the compiled build skips, and why. There are few: most tests look at what goes in and what comes out."""

import pytest

from leadscore.build_kind import COMPILED, build_kind

OF_THE_SOURCE = pytest.mark.skipif(
    build_kind() == COMPILED,
    reason="replaces functions of the fold, which compiled code calls without looking them up: run on the source only",
)
