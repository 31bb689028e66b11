"""Finding a model: made, in a folder, in the Hugging Face cache, or missing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from loadfleet_agent.contract.model import DummyModel, HubModel, ModelFolder, TinyModel
from loadfleet_agent.contract.result import ModelFacts
from loadfleet_agent.contract.status import FailureCode
from loadfleet_agent.evaluation.prompts import PromptEncoder
from loadfleet_agent.failure import RunFailure
from loadfleet_agent.model.resolve import model_facts, resolve_model
from loadfleet_agent.model.tiny_llama import TOKENIZER_CONFIG
from loadfleet_agent.model.tokenizer import load_tokenizer

COMMIT = "0e9e39f249a16976918f6564b8830bc894c89659"
REPO = "meta-llama/Llama-3.1-8B-Instruct"


@pytest.fixture
def hub(tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Hugging Face cache that holds the tiny model under Llama's name, as links to blobs."""
    repository = tmp_path / "hub" / "models--meta-llama--Llama-3.1-8B-Instruct"
    snapshot = repository / "snapshots" / COMMIT
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    snapshot.mkdir(parents=True)
    (repository / "blobs").mkdir()
    for index, path in enumerate(sorted(tiny_folder.iterdir())):
        blob = repository / "blobs" / f"{index:040x}"
        shutil.copyfile(path, blob)
        (snapshot / path.name).symlink_to(Path("../../blobs") / blob.name)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "elsewhere"))
    return snapshot


@pytest.mark.parametrize("revision", ["main", COMMIT])
def test_a_hub_model_is_found_by_branch_and_by_commit(
    hub: Path, tmp_path: Path, tiny_model: ModelFacts, revision: str
) -> None:
    folder, name = resolve_model(HubModel(repo=REPO, revision=revision), tmp_path)
    assert (folder, name) == (hub, REPO)
    facts = model_facts(folder, name)
    assert facts.weights_sha256 == tiny_model.weights_sha256
    assert facts.tokenizer_sha256 == tiny_model.tokenizer_sha256


def test_the_cache_is_found_through_hf_home(
    hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_HUB_CACHE")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    assert resolve_model(HubModel(repo=REPO, revision="main"), tmp_path)[0] == hub


@pytest.mark.usefixtures("hub")
def test_a_cache_that_is_named_is_the_only_one(tmp_path: Path) -> None:
    source = HubModel(repo=REPO, revision="main", cache=str(tmp_path / "named"))
    with pytest.raises(RunFailure) as caught:
        resolve_model(source, tmp_path)
    assert caught.value.code is FailureCode.MODEL_MISSING
    assert str(tmp_path / "named") in caught.value.message
    assert str(tmp_path / "hub") not in caught.value.message
    (tmp_path / "hub").rename(tmp_path / "named")
    assert resolve_model(source, tmp_path)[0].is_relative_to(tmp_path / "named")


def test_the_cache_of_the_agent_goes_before_that_of_the_user(hub: Path, tmp_path: Path) -> None:
    own = tmp_path / "home" / "cache" / "hub"
    shutil.copytree(tmp_path / "hub", own, symlinks=True)
    source = HubModel(repo=REPO, revision=COMMIT)
    assert resolve_model(source, tmp_path / "home")[0].is_relative_to(own)
    shutil.rmtree(own / "models--meta-llama--Llama-3.1-8B-Instruct")
    assert resolve_model(source, tmp_path / "home")[0] == hub


@pytest.mark.parametrize(
    ("repo", "revision"), [(REPO, "v2"), (REPO, "1" * 40), ("meta-llama/Other", "main")]
)
@pytest.mark.usefixtures("hub")
def test_a_hub_model_that_is_not_in_the_cache_is_missing(
    tmp_path: Path, repo: str, revision: str
) -> None:
    with pytest.raises(RunFailure) as caught:
        resolve_model(HubModel(repo=repo, revision=revision), tmp_path)
    assert caught.value.code is FailureCode.MODEL_MISSING
    assert repo in caught.value.message
    assert revision in caught.value.message
    assert str(tmp_path / "hub") in caught.value.message


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_download_that_was_broken_off_is_missing(hub: Path, tmp_path: Path, name: str) -> None:
    """The link stands, but not yet the blob behind it."""
    (hub / name).resolve().unlink()

    def use() -> ModelFacts:
        return model_facts(*resolve_model(HubModel(repo=REPO, revision="main"), tmp_path))

    with pytest.raises(RunFailure) as caught:
        use()
    assert caught.value.code is FailureCode.MODEL_MISSING


@pytest.fixture
def folder(tmp_path: Path, tiny_folder: Path) -> Path:
    copied = tmp_path / "my-model"
    shutil.copytree(tiny_folder, copied)
    return copied


def test_a_model_folder_is_taken_as_it_is(
    folder: Path, tmp_path: Path, tiny_model: ModelFacts
) -> None:
    found, name = resolve_model(ModelFolder(path=str(folder)), tmp_path)
    assert (found, name) == (folder, "my-model")
    wanted = tiny_model.model_copy(update={"name": "my-model", "path": str(folder)})
    assert model_facts(found, name) == wanted


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_folder_without_a_needed_file_is_missing(folder: Path, tmp_path: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(RunFailure) as caught:
        resolve_model(ModelFolder(path=str(folder)), tmp_path)
    assert caught.value.code is FailureCode.MODEL_MISSING
    assert (name if name.endswith(".json") else ".safetensors") in caught.value.message


def test_a_folder_that_is_not_there_is_missing(tmp_path: Path) -> None:
    with pytest.raises(RunFailure) as caught:
        resolve_model(ModelFolder(path=str(tmp_path / "none")), tmp_path)
    assert caught.value.code is FailureCode.MODEL_MISSING


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"vocab_size": "many"}'])
def test_a_configuration_that_is_none_is_refused(folder: Path, content: str) -> None:
    (folder / "config.json").write_text(content)
    with pytest.raises(RunFailure, match="not a whole model folder") as caught:
        model_facts(folder, "x")
    assert caught.value.code is FailureCode.MODEL_MISSING


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_facts_change_with_the_file(folder: Path, tiny_model: ModelFacts, name: str) -> None:
    data = bytearray((folder / name).read_bytes())
    data[-2:-2] = b" "
    (folder / name).write_bytes(data)
    fact = {"config.json": "config", "tokenizer.json": "tokenizer"}.get(name, "weights")
    changed = model_facts(folder, tiny_model.name).model_dump(exclude={"path"})
    before = tiny_model.model_dump(exclude={"path"})
    assert {key for key in before if before[key] != changed[key]} == {f"{fact}_sha256"}


def test_one_stop_token_is_taken_as_well_as_several(folder: Path) -> None:
    (folder / "generation_config.json").unlink()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"eos_token_id": 7}))
    assert model_facts(folder, "x").stop_token_ids == (7,)


def test_the_tiny_model_is_made_once(tmp_path: Path) -> None:
    folder, name = resolve_model(TinyModel(seed=3), tmp_path)
    before = (folder / "model.safetensors").stat()
    assert "random weights, seed 3" in name
    assert resolve_model(TinyModel(seed=3), tmp_path) == (folder, name)
    assert (folder / "model.safetensors").stat().st_mtime_ns == before.st_mtime_ns


def test_a_tiny_model_without_its_weights_is_made_again(
    tmp_path: Path, tiny_model: ModelFacts
) -> None:
    folder, name = resolve_model(TinyModel(), tmp_path)
    (folder / "model.safetensors").unlink()
    assert resolve_model(TinyModel(), tmp_path) == (folder, name)
    assert model_facts(folder, name).weights_sha256 == tiny_model.weights_sha256


def test_the_dummy_model_has_llamas_geometry_and_nothing_to_download(tmp_path: Path) -> None:
    folder, name = resolve_model(DummyModel(), tmp_path)
    facts = model_facts(folder, name)
    assert (facts.vocabulary, facts.weights_sha256) == (128_256, None)
    assert facts.stop_token_ids == (128_001, 128_008, 128_009)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    layer = 4096 * (4096 + 2 * 1024 + 4096) + 3 * 4096 * 14_336 + 2 * 4096
    shape = [config[key] for key in ("hidden_size", "intermediate_size", "num_hidden_layers")]
    assert shape == [4096, 14_336, 32]
    parameters = 32 * layer + 2 * 128_256 * 4096 + 4096
    assert parameters == 8_030_261_248  # as Meta's model card counts them
    ids = load_tokenizer(folder).encode(["A report on the old railway bridge."])[0]
    assert max(ids) < facts.vocabulary
    before = (folder / "config.json").stat().st_mtime_ns
    assert resolve_model(DummyModel(), tmp_path) == (folder, name)
    assert (folder / "config.json").stat().st_mtime_ns == before


@pytest.mark.usefixtures("torch_beside_ansible")
def test_the_dummy_model_can_be_evaluated(tmp_path: Path) -> None:
    folder, name = resolve_model(DummyModel(), tmp_path)
    encoder = PromptEncoder(folder)
    text = encoder.apply_chat_template([{"role": "user", "content": "Two and two?"}], True)
    ids = encoder.encode([text])[0]
    assert ids.count(encoder.prefix_id) == 1  # BOS once
    # A folder that an earlier version left is made again.
    (folder / TOKENIZER_CONFIG).unlink()
    assert resolve_model(DummyModel(), tmp_path) == (folder, name)
    assert (folder / TOKENIZER_CONFIG).is_file()
