"""Where the model of a run comes from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .base import Frozen


class ModelFolder(Frozen):
    """A Hugging Face model folder that is already on the host."""

    source: Literal["path"] = "path"
    path: str


class HubModel(Frozen):
    """A model in the host's Hugging Face cache; it is read, never downloaded, by a run."""

    source: Literal["hub"] = "hub"
    repo: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    revision: str = Field(description="commit or branch")
    cache: str | None = Field(
        default=None,
        description="folder of the Hugging Face hub cache on the host; default: <home>/cache/hub "
        "if the model is there, else HF_HUB_CACHE or HF_HOME as usual",
    )


class TinyModel(Frozen):
    """A Llama of 2 M random weights that the agent makes itself, for runs without a GPU."""

    source: Literal["tiny"] = "tiny"
    seed: int = 0


class DummyModel(Frozen):
    """The public geometry of Llama-3.1-8B without its weights: the engine makes random ones.

    Nothing is downloaded and no token is asked for. The work of a token is that of the real
    model, the text is none.
    """

    source: Literal["dummy"] = "dummy"


ModelSource = Annotated[
    ModelFolder | HubModel | TinyModel | DummyModel, Field(discriminator="source")
]
