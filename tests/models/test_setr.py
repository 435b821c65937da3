"""SETR's decoders, its position embedding, and the vision transformers."""

import json

import mxnet as mx
import numpy as np
import pytest
from mxnet import nd

from models.networks import CLASSES, image, small_model
from mxnetseg.errors import ConfigError
from mxnetseg.models.backbones import build_backbone
from mxnetseg.models.backbones.pretrained import load_pretrained
from mxnetseg.models.backbones.vit import VisionTransformer
from mxnetseg.models.base import default_initializer
from mxnetseg.models.weights import load_arrays
from mxnetseg.registry import BACKBONES, MODELS


@pytest.mark.slow
@pytest.mark.parametrize(("decoder", "outputs"), [("naive", 4), ("pup", 5), ("mla", 5)])
def test_decoders(decoder, outputs):
    net = small_model("SETR", options={"decoder": decoder, "crop_size": 64})
    assert [y.shape for y in net(image(40, 64))] == [(1, CLASSES, 40, 64)] * outputs
    net = small_model("SETR", options={"decoder": decoder}, aux=False)
    assert len(net(image(40, 64))) == 1
    net.inference.hybridize()
    np.testing.assert_allclose(net.predict(image(40, 64)).asnumpy(), net(image(40, 64))[0].asnumpy(), atol=1e-5)


@pytest.mark.parametrize(
    ("decoder", "aux", "learnable"),
    [
        ("naive", True, 304_212_044),
        ("pup", True, 308_386_674),
        ("mla", True, 309_405_279),
        ("naive", False, 304_212_044 - 802_617),
        ("pup", False, 308_386_674 - 1_070_156),
        ("mla", False, 309_405_279 - 1_070_156),
    ],
)
def test_learnable_parameters(decoder, aux, learnable):
    assert MODELS.get("SETR")(19, decoder=decoder, aux=aux, crop_size=96).parameter_count() == learnable


def test_rectified_scores_are_optional():
    for rectified in (True, False):
        net = small_model("SETR", options={"relu_logits": rectified}, aux=False)
        assert (net.predict(image(32, 32)).asnumpy().min() >= 0) == rectified


def test_unknown_decoder_and_tiny_crop_are_explained():
    with pytest.raises(ConfigError, match="did you mean 'pup'"):
        MODELS.get("SETR")(3, decoder="pop")
    with pytest.raises(ConfigError, match="at least one patch"):
        MODELS.get("SETR")(3, crop_size=15)


@pytest.mark.parametrize("name", BACKBONES.names("vit_*"))
def test_backbone_maps(name):
    meta = BACKBONES.entry(name).meta
    maps = build_backbone(name, output_stride=16)(mx.sym.var("data"))
    _, shapes, _ = mx.sym.Group(list(maps)).infer_shape(data=(1, 3, 65, 96))
    assert shapes == [(1, c, 4, 6) for c in meta["channels"]]


def test_position_embedding_is_resized_to_the_patches():
    """The same network, its embedding resized beforehand, gives the same maps for the size that it fits."""
    nets = [build_backbone("vit_tiny_16", output_stride=16, img_size=side) for side in (64, 112)]
    for net in nets:
        net.initialize(default_initializer())
    small, large = nets
    small.pos_embed.set_data(nd.random.normal(shape=small.pos_embed.shape))
    square = small.pos_embed.data().transpose((0, 2, 1)).reshape((1, 192, 4, 4))
    square = nd.contrib.BilinearResize2D(square, height=7, width=7)
    state = {n: p.data() for n, p in small._collect_params_with_prefix().items()}
    state["pos_embed"] = square.reshape((1, 192, 49)).transpose((0, 2, 1))
    assert load_arrays(large, state).complete
    for got, wanted in zip(small(image(112, 112)), large(image(112, 112)), strict=True):
        np.testing.assert_allclose(got.asnumpy(), wanted.asnumpy(), atol=1e-4)


def test_pretrained_classifier_fills_the_backbone(tmp_path):
    """The class token's place is dropped, and the rest of the embedding resized."""
    classifier = VisionTransformer(16, 12, 192, 768, 3, img_size=64, classes=10)
    classifier.initialize(default_initializer())
    classifier.pos_embed.set_data(nd.arange(17).reshape((1, 17, 1)).broadcast_to((1, 17, 192)))
    classifier.save_parameters(str(tmp_path / "vit.params"))
    for side, corners in ((64, [0, 3, 12, 15]), (112, [0, 3, 12, 15])):
        backbone = build_backbone("vit_tiny_16", output_stride=16, img_size=side)
        backbone.initialize()
        load_pretrained(backbone, str(tmp_path / "vit.params"))
        grid = backbone.pos_embed.data().asnumpy()[0, :, 0].reshape(side // 16, side // 16)
        assert grid[[0, 0, -1, -1], [0, -1, 0, -1]].tolist() == corners


@pytest.mark.parametrize("hybridize", [False, True])
def test_class_token_is_read(shared, oracle, hybridize):
    """Our ``cls`` reads the class token; any image size, batch included, goes through one graph."""
    path = shared / "oracle" / "mxnetseg__VisionTransformer__tiny__cls_c10_64x64_b2"
    meta, recorded = json.loads(path.with_suffix(".json").read_text()), np.load(path.with_suffix(".npz"))
    net = VisionTransformer(**meta["kwargs"])
    net.initialize()
    assert load_arrays(net, {name: oracle.tensor(name, shape) for name, shape in meta["tensors"]}).complete
    if hybridize:
        net.hybridize(static_alloc=True, static_shape=True)
    assert net(image(40, 80, batch=3)).shape == (3, 10)
    got = net(nd.array(oracle.image(meta["input_shape"], meta["input_seed"]))).asnumpy()
    np.testing.assert_allclose(got, recorded["logits_last_token"], atol=1e-5)


def test_unknown_pool_is_explained():
    with pytest.raises(ConfigError, match="did you mean 'mean'"):
        VisionTransformer(16, 1, 8, 8, 1, img_size=32, classes=2, pool="mea")
