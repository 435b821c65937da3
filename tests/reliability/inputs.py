"""The kinds of input that the fuzzer damages: valid files, and what reads them in the program."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import cv2
import numpy as np
from PIL import Image

import mxnetseg  # noqa: F401  (before mxnet)

from . import mutations
from .mutations import BYTES

Files = dict[str, bytes]
Mutator = Callable[[Random, list[bytes]], bytes]
_MAGIC = b"MXNETSEG-TRAIL-1"


def sealed(draw: Random, seeds: list[bytes]) -> bytes:
    """Damage a checkpoint's arrays or metadata, its checksum being right."""
    data = draw.choice(seeds)
    if not data.endswith(_MAGIC):
        return mutations.number(draw, [data])
    body = data[:-56]
    length = struct.unpack("<Q", data[-56:-48])[0]
    arrays, meta = body[:-length], body[-length:]
    if draw.random() < 0.5:
        meta = draw.choice((mutations.leaves, mutations.leaves, mutations.flip))(draw, [meta])
    else:
        arrays = draw.choice((mutations.flip, mutations.number))(draw, [arrays])
    data = arrays + meta + struct.pack("<Q", len(meta))
    return data + hashlib.sha256(data).digest() + _MAGIC


# How files of a suffix are damaged.
MUTATORS: dict[str, tuple[Mutator, ...]] = {
    ".png": (*BYTES, mutations.chunks, mutations.chunks),
    ".yaml": (*BYTES, *[mutations.words] * 4),
    ".txt": (*BYTES, *[mutations.words] * 2),
    ".json": (*BYTES, *[mutations.leaves] * 4),
    ".params": (*BYTES, sealed, sealed),
    ".pth": (*BYTES, *[mutations.members] * 2),
    ".npz": (*BYTES, *[mutations.members] * 2),
    ".zip": (*BYTES, mutations.members),
}


@dataclass
class Target:
    """Valid files, and their reader, which is given the first file of a set."""

    seeds: list[Files]
    read: Callable[[Path], Any]
    spared: tuple[str, ...] = ()

    def place(self, folder: Path, files: Files) -> Path:
        """Write a set of files."""
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return folder / next(iter(files))

    def damaged(self, draw: Random, folder: Path) -> Path:
        """Write a set of files with one of them damaged."""
        files = draw.choice(self.seeds)
        name = draw.choice([n for n in files if n not in self.spared])
        suffix = Path(name).suffix
        pool = [content for seed in self.seeds for n, content in seed.items() if Path(n).suffix == suffix]
        mutator = draw.choice(MUTATORS.get(suffix, BYTES))
        return self.place(folder, files | {name: mutator(draw, pool)})


def _picture() -> np.ndarray:
    return cv2.resize(np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8), (40, 30))


def _encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def _images() -> Files:
    """One picture in many formats."""
    rgb, exif = Image.fromarray(_picture()), Image.Exif()
    exif[274] = 6
    files = {
        "rgb.png": _encode(rgb, "PNG"),
        "grey.png": _encode(rgb.convert("L"), "PNG"),
        "palette.png": _encode(rgb.convert("P"), "PNG"),
        "alpha.png": _encode(rgb.convert("RGBA"), "PNG"),
        "bits.png": _encode(rgb.convert("1"), "PNG"),
        "deep.png": cv2.imencode(".png", _picture().astype(np.uint16) * 257)[1].tobytes(),
        "base.jpg": _encode(rgb, "JPEG"),
        "progressive.jpg": _encode(rgb, "JPEG", progressive=True, exif=exif),
        "print.jpg": _encode(rgb.convert("CMYK"), "JPEG"),
        "lossless.webp": _encode(rgb, "WEBP", lossless=True),
        "lossy.webp": _encode(rgb, "WEBP"),
        "plain.bmp": _encode(rgb, "BMP"),
        "palette.bmp": _encode(rgb.convert("P"), "BMP"),
        "plain.ppm": _encode(rgb, "PPM"),
        "text.ppm": b"P3 2 2 255 " + b"1 2 3 " * 4,
        "frames.gif": _encode(rgb, "GIF", save_all=True, append_images=[rgb.rotate(90)]),
    }
    for name in ("raw", "tiff_lzw", "tiff_deflate", "jpeg", "packbits"):
        files[f"{name}.tif"] = _encode(rgb, "TIFF", compression=name)
    files["deep.tif"] = cv2.imencode(".tif", _picture().astype(np.uint16) * 257)[1].tobytes()
    return files


def images(folder: Path) -> Target:
    """Images, as training, prediction and the check of data read them."""
    from mxnetseg.data.images import read_rgb
    from mxnetseg.tools.media import read_picture

    def read(path: Path) -> None:
        outcomes = [_outcome(read_rgb, path), _outcome(read_picture, path, 10**8)]
        if all(outcomes):
            raise outcomes[0]

    seeds = [{name: content} for name, content in _images().items()]

    return Target(seeds, read)


def _outcome(read: Callable[..., Any], *arguments: Any) -> Exception | None:
    from mxnetseg.errors import UserError

    try:
        read(*arguments)
    except UserError as error:
        return error
    return None


def samples(folder: Path) -> Target:
    """An image and its mask, as training and the check of data read them."""
    from mxnetseg.config import DataConfig
    from mxnetseg.data.base import build_dataset
    from mxnetseg.tools.checks import check_splits

    ids = Image.fromarray(np.random.default_rng(1).integers(0, 3, (30, 40), np.uint8))
    colored = ids.convert("P")
    colored.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    masks = [_encode(ids, "PNG"), _encode(colored, "PNG"), _encode(ids.convert("1"), "PNG")]
    masks += [_encode(ids.convert("I;16"), "PNG"), _encode(colored, "PNG", bits=2)]
    photo = _encode(Image.fromarray(_picture()), "PNG")
    others = {".bmp": _encode(ids, "BMP"), ".tif": _encode(ids, "TIFF"), ".gif": _encode(colored, "GIF")}
    seeds = [{"masks/train/a.png": mask, "images/train/a.png": photo} for mask in masks]
    seeds += [{f"masks/train/a{suffix}": mask, "images/train/a.png": photo} for suffix, mask in others.items()]

    def read(path: Path) -> None:
        root = path.parents[2]
        config = DataConfig(name="Custom", root=str(root), options={"classes": ["a", "b", "c"], "ignore": [255]})
        report = check_splits(config, ["train"], progress=False)
        error = _outcome(build_dataset(config, "train").read_compact, 0)
        if error:
            assert report.findings, f"training refuses what the check accepts: {error}"
            raise error

    return Target(seeds, read)


def lists(folder: Path) -> Target:
    """List files of a data set."""
    from mxnetseg.config import DataConfig
    from mxnetseg.data.base import build_dataset

    picture = _images()["rgb.png"]
    lines = b"".join(b"images/%d.png\tmasks/%d.png\n" % (i, i) for i in range(3))
    files = {"list.txt": lines, **{f"{kind}/{i}.png": picture for kind in ("images", "masks") for i in range(3)}}

    def read(path: Path) -> None:
        for settings in ({"datalist": str(path)}, {}):
            options = {"classes": ["a", "b"], "list": "list.txt"}
            build_dataset(DataConfig(name="Custom", root=str(path.parent), options=options, **settings), "train")

    return Target([files], read, spared=tuple(n for n in files if n != "list.txt"))


def configurations(folder: Path) -> Target:
    """Configuration files, and values typed on the command line."""
    from mxnetseg.catalog import CONFIGS
    from mxnetseg.config import Config, load_config

    texts = [path.read_bytes() for path in sorted(CONFIGS.rglob("*.yaml"))[::12]]
    texts += [Config().to_yaml().encode(), b"optimizer: {lr: 1.0e-3}\n"]

    def read(path: Path) -> None:
        text = path.read_text(encoding="utf-8", errors="replace")
        errors = [_outcome(load_config, None, [f"model.options={text}"]), _outcome(load_config, path, ["lr=0.1"])]
        if errors[1]:
            raise errors[1]

    # `_base_` of the shipped files is relative to their folders.
    texts = [b"\n".join(line for line in t.splitlines() if b"_base_" not in line) for t in texts]
    return Target([{f"{i}.yaml": text} for i, text in enumerate(texts)], read)


def _arrays() -> dict[str, np.ndarray]:
    draw = np.random.default_rng(0)
    return {f"layer{i}.{kind}": draw.normal(size=(4, i + 1)).astype("f4") for i in range(3) for kind in ("w", "b")}


def checkpoints(folder: Path) -> Target:
    """Parameter files: of this program and of MXNet."""
    import mxnet as mx

    from mxnetseg.engine.checkpoint import load_checkpoint, read_meta, save_checkpoint

    folder.mkdir()
    arrays = {name: mx.nd.array(value) for name, value in _arrays().items()}
    save_checkpoint(folder / "ours.params", arrays, {"format": 1, "classes": ["a"]}, {"count": mx.nd.ones((3,))})
    mx.nd.save(str(folder / "plain.params"), arrays)
    mx.nd.save(str(folder / "types.params"), {"half": mx.nd.ones((2, 3), dtype="float16"), "none": mx.nd.zeros((1,))})
    files = {path.name: path.read_bytes() for path in sorted(folder.glob("*.params"))}

    def read(path: Path) -> None:
        _outcome(read_meta, path)
        for array in load_checkpoint(path).params.values():
            array.asnumpy()

    return Target([{name: content} for name, content in files.items()], read)


def networks(folder: Path) -> Target:
    """Weights with the description of their network."""
    from tiny import write_checkpoint

    from mxnetseg.engine.checkpoint import load_model

    data = write_checkpoint(folder / "tiny.params").read_bytes()
    return Target([{"tiny.params": data}], load_model)


def symbols(folder: Path) -> Target:
    """Exported symbols."""
    import mxnet as mx
    from tiny import write_checkpoint

    from mxnetseg.deploy.exported import ExportedNetwork
    from mxnetseg.deploy.symbol import save_symbol
    from mxnetseg.engine.checkpoint import load_model

    files = save_symbol(load_model(write_checkpoint(folder / "tiny.params"))[0], folder, "tiny")
    contents = {path.name: path.read_bytes() for path in files.values()}
    facts = {"files": {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}, "classes": ["a"]}
    contents["tiny-meta.json"] = json.dumps(facts).encode()
    alone = {name: data for name, data in contents.items() if not name.endswith("-meta.json")}

    def read(path: Path) -> None:
        network = ExportedNetwork(path, mx.cpu())
        network.inference(mx.nd.zeros((1, 3, 24, 24))).asnumpy()

    return Target([contents, alone], read)


def onnx_files(folder: Path) -> Target:
    """Exported ONNX files."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    from mxnetseg.deploy.runtime import OnnxSegmenter
    from mxnetseg.errors import ConfigError

    weight = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype("f4")
    nodes = [
        helper.make_node("Conv", ["data", "w"], ["y"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["y"], ["z"]),
        helper.make_node("Resize", ["z", "", "s"], ["out"], mode="linear"),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("data", TensorProto.FLOAT, [1, 3, "h", "w"])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 4, "H", "W"])],
        [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(np.array([1, 1, 2, 2], "f4"), "s")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    facts = {"raw": False, "output": "logits", "mean": [0.5] * 3, "std": [0.5] * 3, "classes": list("abcd")}
    helper.set_model_props(model, {key: json.dumps(value) for key, value in facts.items()})
    onnx.checker.check_model(model)

    def read(path: Path) -> None:
        try:
            OnnxSegmenter(path, threads=1).labels(_picture())
        except ValueError as error:  # this module stands alone: its errors for users are of this class
            raise ConfigError(str(error)) from error

    return Target([{"net.onnx": model.SerializeToString()}], read)


def foreign(folder: Path) -> Target:
    """Weights of other programs."""
    from convert.files import torch_legacy, torch_zip

    from mxnetseg.convert.files import read_source

    arrays = _arrays()
    out = io.BytesIO()
    np.savez(out, **arrays)
    header, body = {}, b""
    for name, value in arrays.items():
        header[name] = {
            "dtype": "F32",
            "shape": list(value.shape),
            "data_offsets": [len(body), len(body) + value.nbytes],
        }
        body += value.tobytes()
    text = json.dumps(header).encode()
    seeds = {
        "zip.pth": torch_zip({"state_dict": arrays, "epoch": 3}),
        "weights.npz": out.getvalue(),
        "legacy.pt": torch_legacy(arrays),
        "weights.safetensors": len(text).to_bytes(8, "little") + text + body,
    }
    return Target([{name: data} for name, data in seeds.items()], read_source)


def archives(folder: Path) -> Target:
    """Archives of data sets; nothing may be written outside of the folder."""
    from mxnetseg.tools.prepare.archives import extract

    contents = {"top/a.txt": b"a" * 3000, "top/sub/b.bin": bytes(range(256)) * 8, "c.txt": b""}
    seeds = {}
    for suffix, kind in {".tar": "w", ".tar.gz": "w:gz", ".tar.bz2": "w:bz2", ".tar.xz": "w:xz"}.items():
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode=kind) as file:
            for name, content in contents.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                file.addfile(info, io.BytesIO(content))
        seeds[f"data{suffix}"] = out.getvalue()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in contents.items():
            file.writestr(name, content)
    seeds["data.zip"] = out.getvalue()

    def read(path: Path) -> None:
        try:
            extract(path, path.parent / "in" / "out", progress=False)
        finally:
            strays = {p.name for p in path.parent.iterdir()} - {path.name, "in"}
            strays |= {p.name for p in path.parent.glob("in/*")} - {"out"}
            assert not strays, f"written outside: {strays}"

    return Target([{name: data} for name, data in seeds.items()], read)


KINDS: dict[str, Callable[[Path], Target]] = {
    "images": images,
    "samples": samples,
    "lists": lists,
    "yaml": configurations,
    "params": checkpoints,
    "networks": networks,
    "symbols": symbols,
    "onnx": onnx_files,
    "foreign": foreign,
    "archives": archives,
}
