"""Workers with an error planted in how they deliver: what the judge must catch on real processes."""

import shutil
from pathlib import Path

from tests.mutants.of_the_worker import WORKER_MUTANTS
from tests.servers import ROOT
from tests.source_tree import LEFT_OUT


def planted(wrong: str, folder: Path) -> dict[str, str]:
    """Settings of a worker that runs on a copy of the source with this one error."""
    [mutant] = [one.mutant for one in WORKER_MUTANTS if one.mutant.wrong == wrong]
    source = folder / "mutated"
    shutil.copytree(ROOT / "src", source, ignore=LEFT_OUT)
    path = source / "leadscore" / mutant.file
    text = path.read_text()
    assert text.count(mutant.old) == 1, wrong
    path.write_text(text.replace(mutant.old, mutant.new))
    return {"PYTHONPATH": str(source)}
