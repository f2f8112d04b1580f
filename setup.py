"""Compiles the modules of the hot path with mypyc, from the same source that runs without a compiler.

``LEADSCORE_BUILD`` says what a wheel has: ``compiled`` (fails without a C compiler) or ``pure`` (no extension modules).
Where it is not set, the wheel is compiled if there is a C compiler, and pure if not. An editable install is pure: its
sources change under it. ``make compile`` compiles in place, ``make pure`` takes that back.
"""

import os
import sys
import tempfile
from pathlib import Path

from setuptools import Distribution, Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError, LinkError, PlatformError

COMPILED = [
    "events/avro_fields.py",
    "events/avro_reader.py",
    "events/avro_values.py",
    "events/crossing_avro.py",
    "events/decoder.py",
    "events/lead_score_avro.py",
    "events/validation.py",
    "log/positions.py",
    "mapping/attributes.py",
    "mapping/compiled.py",
    "mapping/decoding.py",
    "mapping/paths.py",
    "mapping/times.py",
    "mapping/types.py",
    "mapping/values.py",
    "model/addition.py",
    "model/compiled.py",
    "model/matching.py",
    "model/per_event.py",
    "pipeline/match/batch.py",
    "pipeline/score/frames.py",
    "pipeline/score/shard.py",
    "scoring/before.py",
    "scoring/conditions.py",
    "scoring/context.py",
    "scoring/course.py",
    "scoring/crossing_ids.py",
    "scoring/disqualification.py",
    "scoring/flags.py",
    "scoring/fold.py",
    "scoring/latest.py",
    "scoring/leads.py",
    "scoring/ranking.py",
    "scoring/reasons.py",
    "scoring/recent.py",
    "scoring/score.py",
    "scoring/selection.py",
    "scoring/standing.py",
    "scoring/sure_stay.py",
    "scoring/thresholds.py",
    "scoring/timeline.py",
    "scoring/totals.py",
]
"""What pays, by measurement. Modules that define ``msgspec.Struct`` cannot be compiled: msgspec reads annotations that
mypyc does not keep."""

MYPY_OPTIONS = [
    "--follow-imports=silent",  # what is only imported is checked by make types, with all its stubs at hand
    "--ignore-missing-imports",
    "--no-warn-unused-ignores",
]
SAME_BYTES = ["-ffp-contract=off"]
"""No multiply-and-add with one rounding, which compilers use where the processor has it: Python rounds twice."""

BUILDS = {"bdist_wheel", "build", "build_ext", "install"}


def extensions() -> list[Extension]:
    """The extension modules of this build; empty for a pure one."""
    kind = os.environ.get("LEADSCORE_BUILD") or "either"
    if kind not in ("compiled", "pure", "either"):
        sys.exit(f"LEADSCORE_BUILD is {kind!r}: expected 'compiled' or 'pure', or that it is not set")
    if kind == "pure" or BUILDS.isdisjoint(sys.argv):
        return []
    problem = compiler_problem()
    if problem is None:
        return compiled()
    if kind == "compiled":
        sys.exit(f"LEADSCORE_BUILD=compiled needs a C compiler and Python's headers: {problem}")
    sys.stderr.write(f"leadscore: pure Python, for there is no C compiler: {problem}\n")
    return []


def compiler_problem() -> str | None:
    """Why no extension module can be built here; ``None`` where one was."""
    if sys.implementation.name != "cpython":
        return f"{sys.implementation.name} is not CPython"
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "trial.c")
        source.write_text("#include <Python.h>\nPyMODINIT_FUNC PyInit_trial(void) { return NULL; }\n")
        command = build_ext(Distribution({"ext_modules": [Extension("trial", [str(source)])]}))
        command.build_lib = command.build_temp = folder
        try:
            command.ensure_finalized()
            command.run()
        except (CompileError, LinkError, PlatformError) as error:
            return str(error)
    return None


def compiled() -> list[Extension]:
    """The modules as extensions, all in one shared library."""
    from mypyc.build import mypycify

    paths = [f"src/leadscore/{module}" for module in COMPILED]
    made: list[Extension] = mypycify([*MYPY_OPTIONS, *paths], group_name="leadscore", strip_asserts=False)
    for extension in made:
        if os.name != "nt":  # Microsoft's compiler does not contract
            extension.extra_compile_args += SAME_BYTES
    return made


if __name__ == "__main__":  # a test reads the list above
    setup(ext_modules=extensions())
