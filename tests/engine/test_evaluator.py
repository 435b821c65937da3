"""The evaluator: the same numbers whoever asks, on however many devices, whatever is damaged."""

import json
import weakref
from dataclasses import replace

import mxnet as mx
import numpy as np
import pytest
from tiny import register, write_checkpoint, write_city

from mxnetseg import cli
from mxnetseg.config import EvalConfig, load_config
from mxnetseg.data import build_dataset
from mxnetseg.engine.checkpoint import load_model, read_meta
from mxnetseg.engine.evaluator import Evaluator
from mxnetseg.errors import ConfigError, DataError
from mxnetseg.metrics import ConfusionMatrix

pytestmark = pytest.mark.filterwarnings("ignore:Cityscapes")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("place")
    write_city(folder / "city", {"train": 4, "val": 5, "test": 2})
    write_checkpoint(folder / "tiny.params")
    return folder


@pytest.fixture
def dataset(place):
    config = load_config(None, ["data.name=cityscapes", f"data.root={place / 'city'}"])
    return build_dataset(config.data, "val")


@pytest.fixture
def model(place):
    return load_model(place / "tiny.params", [mx.cpu(0), mx.cpu(1), mx.cpu(2)])[0]


def evaluator(dataset, config=None, **options):
    return Evaluator(dataset, config or EvalConfig(), (32, 48), **options)


def test_counts_are_those_of_the_plain_network(dataset, model):
    result = evaluator(dataset).evaluate(model, mx.cpu())
    expected = ConfusionMatrix(19)
    for i in range(len(dataset)):
        image, label = dataset.read(i)
        x = ((image / 255.0 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)).transpose(2, 0, 1)
        expected.update(label, model.predict(mx.nd.array(x[None])).asnumpy()[0].argmax(0))
    assert np.abs(result.confusion.counts - expected.counts).sum() <= 1e-3 * expected.pixels
    assert result.images == len(dataset) and result.confusion.pixels == expected.pixels
    assert [row["class"] for row in result.per_class] == list(dataset.classes)
    json.dumps(result.as_dict(), allow_nan=False)


def test_classes_are_left_out_by_name(dataset, model):
    some = evaluator(dataset, EvalConfig(left_out=["road", "car"])).evaluate(model, mx.cpu())
    every = evaluator(dataset).evaluate(model, mx.cpu())
    kept = np.delete(every.confusion.iou, [0, 13])
    assert some.metrics["mIoU"] == np.nanmean(kept) != every.metrics["mIoU"]
    with pytest.raises(ConfigError, match="did you mean 'road'"):
        evaluator(dataset, EvalConfig(left_out=["raod"])).evaluate(model, mx.cpu())


@pytest.mark.parametrize("protocol", ["whole", "slide", "gluon"])
@pytest.mark.parametrize("workers", [0, 2])
def test_any_number_of_contexts_and_workers_gives_the_same(dataset, model, protocol, workers):
    config = EvalConfig(protocol=protocol, flip=True)
    alone = evaluator(dataset, config).evaluate(model, mx.cpu(0))
    for contexts in ([mx.cpu(0), mx.cpu(1)], [mx.cpu(0), mx.cpu(1), mx.cpu(2)]):
        together = evaluator(dataset, config, workers=workers).evaluate(model, contexts)
        assert (together.confusion.counts == alone.confusion.counts).all()
        assert together.metrics == alone.metrics


def test_examples_come_in_order_with_their_prediction(dataset, model):
    seen = []
    evaluator(dataset, workers=2).evaluate(
        model, [mx.cpu(0), mx.cpu(1)], lambda e, p: seen.append((e.index, p.shape == e.label.shape, p.dtype))
    )
    assert seen == [(i, True, np.uint8) for i in range(len(dataset))]


def test_limit_and_unlabelled_splits(place, model):
    config = load_config(None, ["data.name=cityscapes", f"data.root={place / 'city'}"])
    count = []
    result = evaluator(build_dataset(config.data, "test"), limit=1).evaluate(
        model, mx.cpu(), lambda e, p: count.append(e.label)
    )
    assert result.images == 1 and count == [None]
    assert np.isnan(result.metrics["mIoU"]) and result.as_dict()["mIoU"] is None


def test_training_and_eval_command_agree_bit_for_bit(place, capsys, monkeypatch):
    """Validation of a training run against the eval command on the weights it saved."""
    from mxnetseg.engine.trainer import Trainer

    register()
    monkeypatch.chdir(place)
    words = [
        "model.name=tiny",
        "data.name=cityscapes",
        f"data.root={place / 'city'}",
        "data.crop_size=32",
        "data.base_size=64",
        "data.workers=0",
        "train.batch_size=2",
        "train.epochs=2",
        "train.ema=0.5",
        "eval.protocol=slide",
        "eval.flip=true",
    ]
    trainer = Trainer(load_config(None, words), [mx.cpu()], progress=False)
    validated = []
    original = trainer.evaluator.evaluate
    monkeypatch.setattr(
        trainer.evaluator, "evaluate", lambda *a, **k: validated.append(original(*a, **k)) or validated[-1]
    )
    result = trainer.fit()
    best = max(validated, key=lambda v: v.metrics["mIoU"])
    assert {k: result.best_metrics[k] for k in best.metrics} == best.metrics
    assert read_meta(result.best_path)["metrics"] == best.metrics
    assert cli.main(["eval", "--checkpoint", str(result.best_path), "--ctx", "cpu", "--json"]) == 0
    record = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert record["confusion"] == best.confusion.counts.tolist()
    assert {k: record[k] for k in best.metrics} == best.metrics


def damage(dataset, index, tmp_path):
    broken = tmp_path / f"broken{index}.png"
    broken.write_bytes(dataset.samples[index].image.read_bytes()[:300])
    dataset.samples[index] = replace(dataset.samples[index], image=broken)


def test_damaged_images_are_named_and_skipped_within_the_limit(dataset, model, tmp_path):
    damage(dataset, 1, tmp_path)
    damage(dataset, 3, tmp_path)
    result = evaluator(dataset, max_bad_samples=2, workers=1).evaluate(model, [mx.cpu(0), mx.cpu(1)])
    assert result.images == 3
    assert [file for file, _ in result.skipped] == [str(tmp_path / "broken1.png"), str(tmp_path / "broken3.png")]
    with pytest.raises(DataError, match=r"broken1\.png(.|\n)*broken3\.png"):
        evaluator(dataset, max_bad_samples=1).evaluate(model, mx.cpu())


def test_wrong_class_counts_and_empty_results_are_errors(dataset, model, monkeypatch):
    monkeypatch.setattr(model, "num_classes", 7)
    with pytest.raises(ConfigError, match=r"7.*19"):
        evaluator(dataset).evaluate(model, mx.cpu())
    monkeypatch.setattr(model, "num_classes", 19)
    monkeypatch.setattr(dataset, "read_label", lambda i: np.full((48, 96), -1, np.int32))
    with pytest.raises(DataError, match="no labelled pixel"):
        evaluator(dataset).evaluate(model, mx.cpu())
    monkeypatch.setattr(dataset, "read_label", lambda i: np.full((48, 96), 19, np.int32))
    with pytest.raises(DataError, match=f"{dataset.sample_name(0)}: label holds 19"):
        evaluator(dataset).evaluate(model, mx.cpu())


def test_interruption_leaves_at_once_and_the_evaluator_usable(dataset, model):
    def interrupt(example, prediction):
        raise KeyboardInterrupt

    subject = evaluator(dataset, workers=2)
    with pytest.raises(KeyboardInterrupt):
        subject.evaluate(model, mx.cpu(), interrupt)
    assert subject.evaluate(model, mx.cpu()).images == len(dataset)


def test_nothing_is_recorded_for_gradients(dataset, model):
    with mx.autograd.record():
        evaluator(dataset).evaluate(model, mx.cpu())
        x = mx.nd.ones(1)
        assert mx.autograd.is_recording() and x is not None
    weight = model.head.weight
    assert float(weight.grad(mx.cpu(0)).abs().sum().asscalar()) == 0


def test_images_are_dropped_when_counted(dataset, model, monkeypatch):
    images, alive = [], []
    original = dataset.read

    def read(index):
        example = original(index % 5)
        images.append(weakref.ref(example[0]))
        return example

    monkeypatch.setattr(dataset, "read", read)
    monkeypatch.setattr(dataset, "samples", dataset.samples * 8)
    monkeypatch.setattr(dataset, "_names", dataset._names * 8)
    evaluator(dataset, workers=2).evaluate(
        model, mx.cpu(), lambda e, p: alive.append(sum(r() is not None for r in list(images)))
    )
    assert len(alive) == 40 and max(alive) <= 6


def test_nothing_that_could_be_evaluated_is_an_error(dataset, model, tmp_path):
    for index in range(len(dataset)):
        damage(dataset, index, tmp_path)
    with pytest.raises(DataError, match=r"Cityscapes \(val\): no image could be evaluated"):
        evaluator(dataset, max_bad_samples=len(dataset)).evaluate(model, mx.cpu())
