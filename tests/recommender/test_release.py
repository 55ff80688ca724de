import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import SafetensorError
from scipy import sparse

from recommender.errors import CorruptRelease
from recommender.profile import Features
from recommender.registry import ReleaseRecord
from recommender.release import (
    Manifest,
    Release,
    Shard,
    ShardRecord,
    TrainingConfig,
    features_digest,
    manifest_json,
    release_digest,
)
from recommender.release_files import delete, load, save, stored

NOW = datetime(2026, 6, 1, tzinfo=UTC)
FEATURES = Features(("a", "b", "c"), ("grief", "sleep"))
TOPICS = sparse.csr_array(np.array([[1, 0], [1, 1], [0, 0]], dtype=np.float32))
CONFIG = TrainingConfig(components=4, profile_topic_share=0.5, resource_topic_share=0.25)


def release(shards: int = 2, features: Features = FEATURES) -> Release:
    """A release of random numbers."""
    random = np.random.default_rng(0)
    size = len(features.resources) + len(features.topics)
    made = tuple(
        Shard(
            *(
                random.normal(size=shape).astype(np.float32)
                for shape in ((len(features), 4), (size, 4), (size,))
            )
        )
        for _ in range(shards)
    )
    topics = TOPICS[: len(features.resources)]
    records = tuple(
        ShardRecord(digest=shard.digest, rows_root="", people=3, events=9, rows=6, positives=6)
        for shard in made
    )
    names = features_digest(features, topics)
    config = CONFIG.model_copy(update={"shards": shards})
    digest = release_digest(config, names, [record.digest for record in records])
    manifest = Manifest(
        digest=digest, config=config, features_digest=names, shards=records, libraries={}, created_at=NOW
    )
    return Release(made, features, topics, manifest)


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_what_is_saved_is_loaded(tmp_path: Path, scheme: str) -> None:
    """Arrays, names and manifest come back as they were, from a path or a URL; nothing in the folder is a pickle."""
    saved = release()
    save(saved, f"{scheme}{tmp_path}/new/one")
    loaded = load(f"{scheme}{tmp_path}/new/one")
    assert loaded.manifest == saved.manifest
    assert loaded.features == saved.features
    for one, other in zip(saved.shards, loaded.shards, strict=True):
        assert one.digest == other.digest
        np.testing.assert_array_equal(one.resource_biases, other.resource_biases)
    names = {path.name for path in (tmp_path / "new/one").iterdir()}
    assert names == {"manifest.json", "features.json", "shard-0.safetensors", "shard-1.safetensors"}


def test_a_release_can_be_kept_in_an_object_store() -> None:
    """Any file system of fsspec does; here the one in memory."""
    save(release(), "memory://releases/one")
    assert load("memory://releases/one").manifest == release().manifest
    delete("memory://releases/one")
    with pytest.raises(CorruptRelease, match=r"manifest\.json is missing"):
        load("memory://releases/one")


@pytest.mark.parametrize(
    "name", ["manifest.json", "features.json", "shard-0.safetensors", "shard-1.safetensors"]
)
@pytest.mark.parametrize("how", ["missing", "cut", "empty"])
def test_a_damaged_file_is_noticed(tmp_path: Path, name: str, how: str) -> None:
    """A file that is gone, cut short or empty raises CorruptRelease, which says which file."""
    save(release(), str(tmp_path))
    content = (tmp_path / name).read_bytes()
    if how == "missing":
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(content[: len(content) // 2] if how == "cut" else b"")
    with pytest.raises(CorruptRelease, match=name):
        load(str(tmp_path))


def test_a_changed_number_is_noticed(tmp_path: Path) -> None:
    """One flipped bit of an array raises CorruptRelease."""
    save(release(), str(tmp_path))
    content = bytearray((tmp_path / "shard-1.safetensors").read_bytes())
    content[-3] ^= 1
    (tmp_path / "shard-1.safetensors").write_bytes(content)
    with pytest.raises(CorruptRelease, match="does not match its digest"):
        load(str(tmp_path))


def test_changed_names_and_settings_are_noticed(tmp_path: Path) -> None:
    """Two names exchanged, a setting changed or an unknown format raise CorruptRelease."""
    save(release(), str(tmp_path))
    names, manifest = tmp_path / "features.json", tmp_path / "manifest.json"
    names.write_text(json.dumps({**json.loads(names.read_text()), "resources": ["b", "a", "c"]}))
    with pytest.raises(CorruptRelease, match=r"features\.json does not match"):
        load(str(tmp_path))
    save(release(), str(tmp_path))
    whole = json.loads(manifest.read_text())
    whole["config"]["profile_topic_share"] = 0.7
    manifest.write_text(json.dumps(whole))
    with pytest.raises(CorruptRelease, match=r"manifest\.json does not match"):
        load(str(tmp_path))
    manifest.write_text(json.dumps(whole | {"format": 1}))
    with pytest.raises(CorruptRelease, match=r"manifest\.json cannot be read"):
        load(str(tmp_path))


def registered(release_: Release, sha256: str | None = None) -> ReleaseRecord:
    """What the registry knows of a release; its manifest as it is, if nothing else is said."""
    manifest_sha256 = sha256 or hashlib.sha256(manifest_json(release_.manifest)).hexdigest()
    return ReleaseRecord("one", "promoted", release_.manifest.digest, 0, {}, 0, 0, manifest_sha256)


def test_another_whole_release_is_noticed(tmp_path: Path) -> None:
    """Files that fit together but are of another release than the registered one raise CorruptRelease."""
    ours, other = release(shards=2), release(shards=1)
    save(other, str(tmp_path))
    assert load(str(tmp_path)).manifest == other.manifest
    with pytest.raises(CorruptRelease, match="another release"):
        load(str(tmp_path), replace(registered(ours), manifest_sha256=None))
    save(ours, str(tmp_path))
    assert load(str(tmp_path), registered(ours)).manifest == ours.manifest


@pytest.mark.parametrize(
    "changed", [{"rows_root": "00"}, {"people": 2}, {"read_until": 7}, {"metrics": {"ndcg@10": 1.0}}]
)
def test_what_a_manifest_says_beside_its_digest_is_checked(tmp_path: Path, changed: dict[str, Any]) -> None:
    """Whose rows it learned from, how many people, until when and how well: none can be changed unnoticed once registered."""
    whole = release()
    save(whole, str(tmp_path))
    path = tmp_path / "manifest.json"
    written = json.loads(path.read_text())
    if changed.keys() <= written["shards"][0].keys():
        written["shards"][0] |= changed
    else:
        written |= changed
    path.write_text(json.dumps(written, indent=2))
    assert load(str(tmp_path)).manifest != whole.manifest
    assert load(str(tmp_path), replace(registered(whole), manifest_sha256=None)).manifest != whole.manifest
    with pytest.raises(CorruptRelease, match="not the one that was registered"):
        load(str(tmp_path), registered(whole))


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_noticed(tmp_path: Path, number: float) -> None:
    """Arrays that match their digests but cannot be ranked with raise CorruptRelease."""
    whole = release(shards=1)
    whole.shards[0].resource_biases[1] = number
    record = whole.manifest.shards[0].model_copy(update={"digest": whole.shards[0].digest})
    digest = release_digest(whole.manifest.config, whole.manifest.features_digest, [record.digest])
    manifest = whole.manifest.model_copy(update={"shards": (record,), "digest": digest})
    save(replace(whole, manifest=manifest), str(tmp_path))
    with pytest.raises(CorruptRelease, match=r"shard-0\.safetensors holds numbers that are not finite"):
        load(str(tmp_path))


@pytest.mark.parametrize("shards", [(), (0, 0)])
def test_as_many_shards_as_were_made_are_there(tmp_path: Path, shards: tuple[int, ...]) -> None:
    """A manifest that lists none, or more than its settings say, raises CorruptRelease."""
    whole = release(shards=1)
    records = tuple(whole.manifest.shards[number] for number in shards)
    digest = release_digest(
        whole.manifest.config, whole.manifest.features_digest, [each.digest for each in records]
    )
    manifest = whole.manifest.model_copy(update={"shards": records, "digest": digest})
    save(replace(whole, shards=whole.shards * len(shards), manifest=manifest), str(tmp_path))
    with pytest.raises(CorruptRelease, match="not as many shards"):
        load(str(tmp_path))


def test_arrays_of_other_shapes_are_noticed(tmp_path: Path) -> None:
    """A shard whose digest is right but whose rows are not those of the names raises CorruptRelease."""
    wrong = release(features=Features(("a", "b"), ("grief", "sleep")))
    names = features_digest(FEATURES, TOPICS)
    digest = release_digest(wrong.manifest.config, names, wrong.manifest.shard_digests)
    manifest = wrong.manifest.model_copy(update={"features_digest": names, "digest": digest})
    save(Release(wrong.shards, FEATURES, TOPICS, manifest), str(tmp_path))
    with pytest.raises(CorruptRelease, match="shape"):
        load(str(tmp_path))


def test_the_manifest_is_written_last(tmp_path: Path) -> None:
    """A release whose writing broke off before the end is no release."""
    whole = release()
    halves = whole.shards[0], replace(whole.shards[1], resource_biases=np.array(["not", "numbers"]))
    broken = replace(whole, shards=halves)
    with pytest.raises((TypeError, KeyError, SafetensorError)):
        save(broken, str(tmp_path))
    assert not (tmp_path / "manifest.json").exists()
    with pytest.raises(CorruptRelease, match=r"manifest\.json is missing"):
        load(str(tmp_path))


def test_saving_again_leaves_nothing_of_before(tmp_path: Path) -> None:
    """A release with fewer shards in the same place leaves no shard of the former one behind."""
    save(release(shards=2), str(tmp_path / "one"))
    save(release(shards=1), str(tmp_path / "one"))
    assert len(load(str(tmp_path / "one")).shards) == 1
    assert not (tmp_path / "one/shard-1.safetensors").exists()


def test_deleting_removes_the_release_and_nothing_else(tmp_path: Path) -> None:
    """The folder goes when it is empty then; deleting twice is harmless; what else is in a folder stays."""
    save(release(), str(tmp_path / "one"))
    delete(str(tmp_path / "one"))
    assert not (tmp_path / "one").exists()
    delete(str(tmp_path / "one"))
    save(release(), str(tmp_path))
    (tmp_path / "letter.txt").write_text("mine")
    delete(str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


@pytest.mark.parametrize("where", ["rel[prod]", "rel*", "r?l", "[", "a[!b]c"])
@pytest.mark.parametrize("scheme", ["{}/", "memory://{}/"])
def test_what_a_path_is_named_is_no_pattern(tmp_path: Path, where: str, scheme: str) -> None:
    """Brackets, stars and question marks in a path are letters: what is deleted is what lies there, and nothing that is like it."""
    base = scheme.format(tmp_path)
    one, like = f"{base}{where}/one", f"{base}relp/one"
    for url in (one, like):
        save(release(), url)
    delete(one)
    with pytest.raises(CorruptRelease, match=r"manifest\.json is missing"):
        load(one)
    assert stored(f"{base}{where}") == []
    assert load(like).manifest == release().manifest


def test_inputs_and_outputs_add_topics_in_equal_shares() -> None:
    """A feature and a resource are their own row plus the share of their topics' rows; shards stand side by side."""
    whole = release()
    inputs, (outputs, biases) = whole.inputs(FEATURES, TOPICS), whole.outputs(FEATURES, TOPICS)
    assert inputs.shape == (len(FEATURES), 8)
    assert outputs.shape == (3, 8)
    for number, shard in enumerate(whole.shards):
        own, part = shard.feature_embeddings, slice(4 * number, 4 * number + 4)
        np.testing.assert_allclose(inputs[1, part], (own[1] + 0.25 * own[3] + 0.25 * own[4]) / 2, rtol=1e-5)
        np.testing.assert_allclose(inputs[2:, part], own[2:] / 2, rtol=1e-5)
        own = shard.resource_embeddings
        np.testing.assert_allclose(outputs[1, part], own[1] + 0.125 * own[3] + 0.125 * own[4], rtol=1e-5)
    mean = np.mean([shard.resource_biases for shard in whole.shards], axis=0)
    np.testing.assert_allclose(biases, [mean[0] + 0.25 * mean[3], mean[1] + 0.125 * mean[3] + 0.125 * mean[4], mean[2]], rtol=1e-5)  # fmt: skip


def test_todays_catalogue_may_differ_from_the_releases() -> None:
    """Known names keep their rows wherever they stand; a new resource has its topics' part alone; a new topic has none."""
    whole = release()
    today = Features(("aa", "b", "z"), ("mood", "sleep"))
    topics = sparse.csr_array(np.array([[0, 1], [0, 0], [1, 0]], dtype=np.float32))
    inputs, (outputs, biases) = whole.inputs(today, topics), whole.outputs(today, topics)
    then_in, (then_out, then_biases) = whole.inputs(FEATURES, TOPICS * 0), whole.outputs(FEATURES, TOPICS * 0)
    np.testing.assert_allclose(inputs[1], then_in[1], rtol=1e-6)
    np.testing.assert_allclose(outputs[1], then_out[1], rtol=1e-6)
    np.testing.assert_allclose(biases[1], then_biases[1], rtol=1e-6)
    np.testing.assert_allclose(inputs[0], 0.5 * then_in[4], rtol=1e-5)
    np.testing.assert_allclose(inputs[5:], then_in[5:], rtol=1e-6)
    sleep = np.concatenate([shard.resource_embeddings[4] for shard in whole.shards])
    np.testing.assert_allclose(outputs[0], 0.25 * sleep, rtol=1e-5)
    assert not inputs[[2, 3]].any()
    assert not outputs[2].any()
    assert biases[2] == 0


def test_an_empty_catalogue_is_no_error() -> None:
    """Nothing to show gives empty arrays."""
    nothing = Features((), ())
    outputs, biases = release().outputs(nothing, sparse.csr_array((0, 0)))
    assert outputs.shape == (0, 8)
    assert biases.shape == (0,)
    assert release().inputs(nothing, sparse.csr_array((0, 0))).shape == (5, 8)
