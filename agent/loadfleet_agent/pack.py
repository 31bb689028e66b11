"""One archive of a run folder, to be fetched by the controller in one piece."""

from __future__ import annotations

import gzip
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .contract.benchmark import Mode
from .contract.run_folder import ACCURACY_LOG
from .host.locks import locked_folder
from .host.owner import as_owner


def pack_run(folder: Path, target: Path, *, accuracy_logs: bool) -> int:
    """Writes ``folder`` as a gzipped tar to ``target``, whole or not at all; returns its bytes.

    It is read as the owner of the data folder: no link in it leads to a file of root's.

    The accuracy logs of accuracy runs (15 MB each at full length) stay on the host unless asked
    for: their hashes and the scores travel in the results. Other runs log a few answers.
    """
    temporary = target.with_name(f".{target.name}.tmp")
    with locked_folder(target.parent):  # two operators may collect at once
        with _archive(temporary) as archive, as_owner(folder.parents[1]):
            for path in sorted(folder.rglob("*")):
                if not path.is_file() or path.is_symlink() or path.name.endswith(".tmp"):
                    continue
                of_accuracy = path.parent.name.endswith(f"-{Mode.ACCURACY}")
                if path.name == ACCURACY_LOG and of_accuracy and not accuracy_logs:
                    continue
                archive.add(path, arcname=path.relative_to(folder).as_posix(), recursive=False)
        temporary.replace(target)
        return target.stat().st_size


@contextmanager
def _archive(path: Path) -> Iterator[tarfile.TarFile]:
    """Without the time in gzip's header: the same files are the same bytes, so that one may be
    replaced while another operator fetches it and compares its hash."""
    with (
        path.open("wb") as raw,
        gzip.GzipFile("", "wb", compresslevel=6, fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as archive,
    ):
        yield archive
