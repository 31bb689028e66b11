"""MLPerf's file as it was fetched from MLCommons, held against the record of its origin."""

from __future__ import annotations

from pathlib import Path

from ..contract.dataset import DATASET_FILES, MlcommonsDataset
from ..contract.status import FailureCode
from ..failure import RunFailure
from ..model.tokenizer import ModelTokenizer
from .file_source import file_identity, read_samples
from .origin import MlcommonsOrigin, mlcommons_record, read_mlcommons_record
from .source import Found, Samples, Wanted


def datasets_folder(home: Path) -> Path:
    """Where datasets are that were fetched."""
    return home / "datasets"


def find_mlcommons(source: MlcommonsDataset, wanted: Wanted, home: Path) -> Found:
    """The file of the suite. Raises NotThere; RunFailure (dataset-invalid) if it has no record."""
    folder = Path(source.folder).expanduser() if source.folder else datasets_folder(home)
    path = folder / DATASET_FILES[wanted.suite]
    identity = file_identity(path)
    record = read_mlcommons_record(path)
    if record is None:
        raise RunFailure(
            FailureCode.DATASET_INVALID,
            f"{path}: {mlcommons_record(path).name} does not say that it is MLCommons': fetch it "
            "again, or name the file as source: file",
        )

    def read(tokenizer: ModelTokenizer) -> Samples:
        return _read(path, record, wanted, tokenizer)

    return Found(source, f"{identity}-{record.sha256}", read)


def _read(
    path: Path, record: MlcommonsOrigin, wanted: Wanted, tokenizer: ModelTokenizer
) -> Samples:
    samples = read_samples(path, record.sha256, wanted, tokenizer)
    origin = f"{samples.origin} md5:{record.md5} from {record.url}"
    return Samples(samples.prompts, samples.references, origin)
