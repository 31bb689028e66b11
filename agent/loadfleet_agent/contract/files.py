"""Writing files so that a reader sees the old or the new one, and never half of one."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import BaseModel


def write_atomic(path: Path, data: str | bytes) -> None:
    """Replaces ``path``; after a power loss too, it holds the old or the new content."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    content = data.encode() if isinstance(data, str) else data
    try:
        with temporary.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def write_model(path: Path, model: BaseModel) -> None:
    """A model as JSON, two spaces deep, replaced atomically."""
    write_atomic(path, model.model_dump_json(indent=2) + "\n")
