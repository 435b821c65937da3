"""Metrics against the reference values and their definitions."""

import numpy as np
import pytest

from mxnetseg.errors import DataError
from mxnetseg.metrics import ConfusionMatrix


def pair(k, shape=(37, 53), seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(-1, k, shape).astype(np.int32), rng.integers(0, k, shape).astype(np.uint8)


def slow_counts(k, label, prediction):
    counts = np.zeros((k, k), np.int64)
    for a, b in zip(label.ravel(), prediction.ravel(), strict=True):
        if a >= 0:
            counts[a, int(b)] += 1
    return counts


@pytest.fixture
def oracle(shared):
    def load(name):
        return dict(np.load(shared / "oracle" / f"{name}.npz"))

    return load


def test_gluoncv_running_values_and_totals(oracle):
    data = oracle("data_metrics_gluoncv")
    metric = ConfusionMatrix(data["logits"].shape[1])
    for label, logits, pa, miou in zip(data["label"], data["logits"], data["pa"], data["miou"], strict=True):
        metric.update(label, logits.argmax(0))
        assert metric.pixel_accuracy == pytest.approx(pa, rel=1e-9)
        assert metric.miou_all == pytest.approx(miou, rel=1e-9)
    assert (metric.intersection == data["inter"]).all()
    assert (metric.union == data["union"]).all()
    assert metric.pixels == data["labeled"] and metric.intersection.sum() == data["correct"]
    np.testing.assert_allclose(np.nan_to_num(metric.iou), data["iou"], rtol=1e-9)


def test_other_systems(oracle):
    data = oracle("data_metrics_others")
    metric = ConfusionMatrix(data["logits"].shape[1])
    label = np.where(data["label"] == 255, -1, data["label"])
    metric.update(label, data["logits"].argmax(1))
    assert (metric.support == data["semseg_target"]).all()
    assert (metric.counts == data["magnet_confusion"]).all()
    assert metric.miou_all == pytest.approx(float(data["semseg_miou"]), rel=1e-9)
    assert np.nan_to_num(metric.class_accuracy).mean() == pytest.approx(float(data["semseg_macc"]), rel=1e-9)
    assert metric.pixel_accuracy == pytest.approx(float(data["mmseg_aAcc"]), rel=1e-9)
    for ours, theirs in (
        ("iou", "IoU"),
        ("class_accuracy", "Acc"),
        ("f1", "Fscore"),
        ("dice", "Dice"),
        ("precision", "Precision"),
    ):
        got = np.nan_to_num(getattr(metric, ours), nan=-1)
        np.testing.assert_allclose(got, data[f"mmseg_{theirs}"], rtol=1e-6, err_msg=theirs)
    assert metric.miou == pytest.approx(float(data["mmseg_nanmean_IoU"]), rel=1e-6)
    assert metric.mean_accuracy == pytest.approx(float(data["mmseg_nanmean_Acc"]), rel=1e-6)
    assert metric.summary()["mDice"] == pytest.approx(float(data["mmseg_nanmean_Dice"]), rel=1e-6)


@pytest.mark.parametrize("k", [1, 2, 19, 150, 180, 181, 255, 256, 300])
def test_counts_equal_the_definition(k):
    label, prediction = pair(min(k, 250))
    metric = ConfusionMatrix(k)
    metric.update(label, prediction)
    assert (metric.counts == slow_counts(k, label, prediction)).all()
    assert metric.counts.dtype == np.int64


def test_counting_stays_exact_beyond_float32(monkeypatch):
    label = np.zeros((4097, 4096), np.int8)
    metric = ConfusionMatrix(2)
    metric.update(label, label.view(np.uint8))
    assert metric.counts[0, 0] == 4097 * 4096


def test_batches_and_merges_equal_single_updates():
    label, prediction = pair(5, (4, 20, 30))
    whole, parts = ConfusionMatrix(5), [ConfusionMatrix(5) for _ in range(2)]
    whole.update(label, prediction)
    for i in range(4):
        parts[i % 2].update(label[i], prediction[i])
    assert (parts[0].merge(parts[1]).counts == whole.counts).all()


@pytest.mark.parametrize("value", [5, 255, -2])
def test_labels_out_of_range_are_refused_and_not_counted(value):
    label, prediction = pair(5)
    label[3, 4] = value
    metric = ConfusionMatrix(5)
    with pytest.raises(DataError, match=rf"(?m)^label holds {value}$") as caught:
        metric.update(label, prediction)
    assert caught.value.expected == "classes 0..4 or -1 (ignored)"
    assert metric.pixels == 0


@pytest.mark.parametrize(
    ("wrong", "listed"), [(1, "5"), (8, "5, 6, 7, 8, 9, 10, 11, 12"), (9, "5, 6, 7, 8, 9, 10, 11, 12, ...")]
)
def test_wrong_values_are_listed_up_to_eight(wrong, listed):
    label, prediction = pair(5)
    prediction[0, :wrong] = np.arange(5, 5 + wrong)
    with pytest.raises(DataError) as caught:
        ConfusionMatrix(5).update(label, prediction)
    assert caught.value.found == f"prediction holds {listed}"
    assert caught.value.expected == "classes 0..4"


def test_wrong_predictions_shapes_and_types_are_refused():
    label, prediction = pair(5)
    metric = ConfusionMatrix(5)
    for bad in (prediction + np.uint8(1), prediction[:-1], prediction.astype(np.float32)):
        with pytest.raises(DataError):
            metric.update(label, bad)
    with pytest.raises(DataError):
        metric.merge(ConfusionMatrix(4))


def test_absent_classes_are_left_out_of_the_mean_only():
    metric = ConfusionMatrix(3)
    metric.update(np.array([[0, 0, 1, -1]]), np.array([[0, 1, 1, 2]]))
    assert metric.miou == pytest.approx(0.5)
    assert metric.miou_all == pytest.approx(1 / 3)
    assert metric.fwiou == pytest.approx(0.5)
    rows = metric.per_class(["a", "b", "c"])
    assert rows[2] == {"class": "c", "IoU": None, "Acc": None, "precision": None, "Dice": None, "support": 0}
    assert rows[1]["precision"] == 0.5 and rows[0]["Acc"] == 0.5


def test_classes_can_be_left_out_of_the_means():
    label, prediction = pair(4)
    whole, part = ConfusionMatrix(4), ConfusionMatrix(4, left_out=[3])
    for metric in (whole, part):
        metric.update(label, prediction)
    assert (part.counts == whole.counts).all() and part.pixel_accuracy == whole.pixel_accuracy
    assert part.miou == part.miou_all == pytest.approx(whole.iou[:3].mean())
    assert part.summary()["mFscore"] == pytest.approx(whole.f1[:3].mean())


def test_nothing_counted_is_not_a_score():
    metric = ConfusionMatrix(3)
    metric.update(np.full((2, 2), -1), np.zeros((2, 2), np.uint8))
    assert all(np.isnan(v) for v in metric.summary().values())
    assert metric.as_dict("abc")["mIoU"] is None


def test_the_dictionary_holds_scalars_rows_and_counts():
    metric = ConfusionMatrix(2)
    metric.update(np.array([[0, 1, 1, -1]]), np.array([[0, 0, 1, 1]]))
    values = metric.as_dict(["a", "b"])
    assert values == {
        **metric.summary(),
        "pixels": 3,
        "per_class": metric.per_class(["a", "b"]),
        "confusion": [[1, 0], [1, 1]],
    }


def test_names_must_be_as_many_as_the_classes():
    with pytest.raises(DataError, match="2 class names for 3 classes"):
        ConfusionMatrix(3).as_dict(["a", "b"])


def test_nothing_is_counted_of_an_empty_image():
    metric = ConfusionMatrix(3)
    metric.update(np.zeros((0, 5), np.int32), np.zeros((0, 5), np.uint8))
    assert metric.pixels == 0
    with pytest.raises(DataError, match="differ in shape"):
        metric.update(np.zeros((0, 5), np.int32), np.zeros((0, 4), np.uint8))
