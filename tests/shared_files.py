"""Several runs of pytest share one list of test files: each file is run by the first that comes to it, and by no other.

``--share-files-in FOLDER``, with the same folder for all of them. A run goes through every test that it was told to
run, in its own order, and leaves out those in files that another has taken; so between them they leave out none.
"""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

OPTION = "--share-files-in"


def taker(folder: Path) -> Callable[[str], bool]:
    """A function that says whether the file of that name is this run's, which it is if no other has taken it yet."""
    mine: set[str] = set()

    def take(file: str) -> bool:
        if file not in mine:
            with suppress(FileExistsError):
                (folder / file.replace("/", ":")).touch(exist_ok=False)
                mine.add(file)
        return file in mine

    return take
