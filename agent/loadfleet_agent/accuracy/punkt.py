"""NLTK's punkt_tab English model: found, verified by hash, copied to the cache; no download.

The wheelhouse carries it inside the wheel of llama-index-core (only this data of it is used):
NLTK itself offers it from a web site alone.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from ..contract.status import FailureCode
from ..failure import RunFailure

FILES = {
    "abbrev_types.txt": "92a3e070f43d9b4c5534758ca40ad7343b04e7e29bfe0c2eb658a39445a4f779",
    "collocations.tab": "8e2da1225e4dd2cc9dba261ee231ccb134859e21b46006e7f472c5ee269af0cf",
    "ortho_context.tab": "4bbcca25ed3d3f06c02402abf8419b9f033b8adc06e7b482eca4e45f81a5dc4c",
    "sent_starters.txt": "f3f8535483e1dba487241b764945168123bca3209a9645e59acd1225dc76edac",
}
FOLDER = Path("tokenizers/punkt_tab/english")


def install_punkt(cache: Path) -> Path:
    """A folder to use as NLTK's data folder, holding the verified model.

    Raises RunFailure (punkt-missing) if no copy with the right hashes is on this host.
    """
    target = cache / "nltk_data"
    if _is_genuine(target / FOLDER):
        return target
    for source in _candidates():
        if _is_genuine(source):
            (target / FOLDER).parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(target / FOLDER, ignore_errors=True)
            shutil.copytree(
                source, target / FOLDER, ignore=lambda _, names: set(names) - set(FILES)
            )
            return target
    looked = ", ".join(str(path) for path in _candidates())
    raise RunFailure(
        FailureCode.PUNKT_MISSING, f"NLTK's punkt_tab English model is in none of: {looked}"
    )


def _candidates() -> Iterator[Path]:
    packages = Path(sysconfig.get_paths()["purelib"])
    yield packages / "llama_index/core/_static/nltk_cache" / FOLDER
    for entry in os.environ.get("NLTK_DATA", "").split(os.pathsep):
        if entry:
            yield Path(entry) / FOLDER
    yield Path.home() / "nltk_data" / FOLDER
    yield Path("/usr/share/nltk_data") / FOLDER


def _is_genuine(folder: Path) -> bool:
    try:
        return all(
            hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
            for name, digest in FILES.items()
        )
    except OSError:
        return False
