"""Configuration: a pydantic schema, YAML files with ``_base_`` inheritance, ``key=value`` overrides.

A configuration holds data only; nothing in it is executed. Precedence: command line over file over
``_base_`` over defaults. The resolved configuration is stored with every run and inside every checkpoint.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from .catalog import find_config
from .errors import ConfigError, suggest
from .plain_yaml import parse_yaml, read_yaml_file
from .registry import DATASETS, LOSSES, MODELS

__all__ = ["Config", "apply_overrides", "key_names", "load_config", "read_yaml"]

Positive = Annotated[int, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Size = Positive | tuple[Positive, Positive]
# Steps that only some training transforms have.
_OPTIONAL_STEPS = {
    "gluon": ("augment.cat_max_ratio", "augment.class_uniform", "augment.jitter", "augment.photometric"),
    "semseg": ("resize", "augment.rotate"),
    "mmseg": ("augment.cat_max_ratio", "augment.photometric"),
}
# What a file says about itself; files that build on it do not inherit that.
_OWN_FACTS = ("description", "aliases", "published")


class Section(BaseModel):
    """Base of all sections: unknown keys are errors, values are checked again on assignment."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True, protected_namespaces=(), allow_inf_nan=False)


class ModelConfig(Section):
    """Which network."""

    name: str = Field("BiSeNetR", description="model, official or short name (`mxnetseg list models`)")
    backbone: str | None = Field(None, description="backbone; the model's own default when empty")
    aux: bool = Field(True, description="train auxiliary heads where the model has them")
    dilate: bool | None = Field(None, description="dilated backbone (output stride 8); the model's default when empty")
    norm: Literal["bn", "syncbn", "gn"] = Field("bn", description="normalisation layer")
    pretrained: bool | str = Field(False, description="backbone weights: true (GluonCV's ImageNet), or a file")
    init: str | None = Field(None, description="checkpoint to fine-tune from; differing tensors are listed")
    options: dict[str, Any] = Field(default_factory=dict, description="further arguments of the model")

    @field_validator("name")
    @classmethod
    def _official_name(cls, value: str) -> str:
        return MODELS.entry(value).name


class AugmentConfig(Section):
    """Random training transform, in the order of application."""

    scale: tuple[float, float] = Field(
        (0.5, 2.0), description="range of the longer side relative to base_size; semseg: relative to the image"
    )
    scale_choices: list[Annotated[float, Field(gt=0)]] = Field(
        default_factory=list, description="scales to draw from, all equally likely, instead of the range"
    )
    rotate: Annotated[float, Field(ge=0, le=180)] = Field(
        0.0, description="largest rotation, in degrees, of half of the samples (semseg)"
    )
    flip: Fraction = Field(0.5, description="probability of mirroring left-right")
    blur: Fraction = Field(
        0.5, description="probability of a Gaussian blur of radius U[0,1) (semseg: 5x5; mmseg: none)"
    )
    cat_max_ratio: Fraction = Field(1.0, description="redraw crops in which one class exceeds this share (1 = off)")
    class_uniform: Fraction = Field(
        0.0, description="share of samples cropped around a pixel of a class drawn uniformly"
    )
    jitter: tuple[float, float, float, float] = Field(
        (0.0, 0.0, 0.0, 0.0), description="colour jitter: brightness, contrast, saturation, hue"
    )
    photometric: bool = Field(False, description="SSD photometric distortion (as in mmsegmentation)")

    @field_validator("scale")
    @classmethod
    def _ordered(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0 < value[0] <= value[1]:
            raise ValueError("needs 0 < low <= high")
        return value


class DataConfig(Section):
    """Which data and how they are fed."""

    name: str = Field("Synthetic", description="data set, official or short name (`mxnetseg list datasets`)")
    root: str | None = Field(None, description="folder of the data set; <datasets folder>/<its usual name> when empty")
    train_split: str = "train"
    val_split: str = "val"
    test_split: str = "test"
    options: dict[str, Any] = Field(default_factory=dict, description="further arguments of the data set")
    datalist: str | None = Field(
        None,
        description="file with lines 'image<TAB>mask', relative to root, instead of the data set's own split; {split} "
        "stands for its name",
    )
    transform: Literal["gluon", "semseg", "mmseg"] = Field(
        "gluon",
        description="training transform; gluon: GluonCV's, as MXNetSeg; semseg: as MLMSNet and MFARANet; mmseg: "
        "mmsegmentation's, as MLCRNet",
    )
    resize: tuple[Positive, Positive] | None = Field(
        None, description="size [height, width] that images are first brought to (semseg)"
    )
    base_size: Positive = Field(520, description="longer side before random scaling")
    crop_size: Size = Field(480, description="training crop: side, or [height, width]")
    augment: AugmentConfig = Field(default_factory=AugmentConfig)
    workers: Annotated[int, Field(ge=0)] = Field(2, description="loader processes; 0 loads in the training process")
    max_bad_samples: Annotated[int, Field(ge=0)] = Field(0, description="damaged samples tolerated before stopping")
    check: bool = Field(True, description="look at all files before training, as `mxnetseg check-data` does")
    allow: list[str] = Field(default_factory=list, description="kinds of its findings that are meant to be so")

    @field_validator("name")
    @classmethod
    def _official_name(cls, value: str) -> str:
        return DATASETS.entry(value).name

    @model_validator(mode="after")
    def _transform_has_what_is_asked(self) -> DataConfig:
        augment = self.augment
        asked = {
            "resize": self.resize,
            "augment.rotate": augment.rotate,
            "augment.cat_max_ratio": augment.cat_max_ratio < 1,
            "augment.class_uniform": augment.class_uniform,
            "augment.jitter": any(augment.jitter),
            "augment.photometric": augment.photometric,
        }
        unknown = [key for key, value in asked.items() if value and key not in _OPTIONAL_STEPS[self.transform]]
        if unknown:
            raise ValueError(f"transform {self.transform} has no {' and no '.join(unknown)}")
        return self


class LossConfig(Section):
    """What is minimised."""

    name: str = Field("CrossEntropy", description="loss, official or short name (`mxnetseg list losses`)")
    aux_weight: float | list[float] = Field(0.4, description="weight of the auxiliary outputs: one, or one each")
    class_weights: list[float] | None = Field(None, description="weight per class")
    options: dict[str, Any] = Field(default_factory=dict, description="further arguments of the loss")

    @field_validator("name")
    @classmethod
    def _official_name(cls, value: str) -> str:
        return LOSSES.entry(value).name


class OptimizerConfig(Section):
    """How parameters move."""

    name: Literal["sgd", "nag", "adam", "adamw"] = "sgd"
    lr: Annotated[float, Field(gt=0)] = Field(0.01, description="base learning rate")
    momentum: Fraction = 0.9
    wd: Annotated[float, Field(ge=0)] = Field(1e-4, description="weight decay")
    betas: tuple[Fraction, Fraction] = Field((0.9, 0.999), description="moment decay of adam and adamw")
    head_lr_mult: Annotated[float, Field(gt=0)] = Field(
        1.0, description="learning-rate factor of everything but the backbone"
    )
    wd_norm_bias: bool = Field(True, description="false: no weight decay on normalisation layers and biases")
    clip_norm: Annotated[float, Field(gt=0)] | None = Field(None, description="largest global gradient norm")
    accumulate: Positive = Field(1, description="batches whose gradients are summed into one step")


class ScheduleConfig(Section):
    """How the learning rate moves, per update."""

    name: Literal["poly", "cosine", "step", "linear", "constant"] = "poly"
    target_lr: Annotated[float, Field(ge=0)] = 0.0
    power: Annotated[float, Field(gt=0)] = 0.9
    step_epochs: list[Annotated[float, Field(gt=0)]] = Field(default_factory=list, description="epochs of the steps")
    step_factor: Annotated[float, Field(gt=0)] = 0.1
    warmup_epochs: Annotated[float, Field(ge=0)] = Field(0, description="linear warm-up, in epochs")
    warmup_lr: Annotated[float, Field(ge=0)] = Field(0.0, description="learning rate at the start of the warm-up")


class TrainConfig(Section):
    """The loop."""

    epochs: Positive = 60
    steps: Positive | None = Field(None, description="length of the run in updates, instead of in epochs")
    max_steps: Positive | None = Field(None, description="stop after this many updates (the schedule keeps its length)")
    batch_size: Positive = Field(8, description="images per batch, over all contexts together")
    seed: Annotated[int, Field(ge=0)] = 0
    ema: Annotated[float, Field(ge=0, lt=1)] = Field(0.0, description="decay of the averaged weights (0 = off)")
    freeze_bn: bool = Field(False, description="keep the statistics of batch normalisation fixed")
    bn_momentum: Fraction | None = Field(
        None, description="momentum of the statistics of batch normalisation; lower for few steps; the network's own"
    )
    amp: bool = Field(False, description="mixed precision (GPU only)")
    early_stop: Annotated[int, Field(ge=0)] = Field(
        0, description="validations without improvement before stopping (0 = off)"
    )
    val_interval: Annotated[int, Field(ge=0)] = Field(1, description="epochs between validations (0 = never)")
    save_interval: Annotated[int, Field(ge=0)] = Field(
        0, description="updates between saved states (0 = once per epoch)"
    )
    log_interval: Positive = Field(10, description="updates between logged values")
    weights_dir: str = Field("weights", description="checkpoints go to <weights_dir>/<model>/")
    runs_dir: str = Field("runs", description="logs and reports go to <runs_dir>/<run>/")
    refines: str | None = Field(
        None,
        description="checkpoint of the network whose refinement module (MagNet) is trained; scales from eval.refine",
    )


class RefineConfig(Section):
    """Progressive refinement of large images (MagNet); sizes are [height, width]."""

    scales: list[tuple[Positive, Positive]] = Field(
        min_length=1, description="sizes of the whole image, from the coarse view to the finest"
    )
    crop_size: tuple[Positive, Positive] = Field(description="patch of every scale; the first scale is one patch")
    input_size: tuple[Positive, Positive] = Field(description="size at which the networks see a patch")
    n_points: Annotated[float, Field(gt=0)] = Field(
        0.75, description="pixels refined per scale: a number, or up to 1 their share"
    )
    n_patches: Annotated[int, Field(ge=-1)] = Field(
        -1, description="patches refined per scale: the most uncertain, -1 for all, 0 for the coarse view alone"
    )
    smooth_kernel: Annotated[int, Field(gt=0)] = Field(5, description="side of the median filter of the scores, odd")
    sub_batch_size: Positive = Field(1, description="patches per forward")
    selection: Literal["fixed", "official"] = Field(
        "fixed",
        description="fixed: the most uncertain patches, points inside of them, overlaps averaged; official: as the "
        "published program, which takes the least uncertain, and points by chance",
    )
    weights: list[str] = Field(
        default_factory=list, description="files of the refinement modules: one, or one per scale but the first"
    )

    @field_validator("smooth_kernel")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError("must be odd")
        return value

    @model_validator(mode="after")
    def _scales_hold_patches(self) -> RefineConfig:
        if self.scales[0] != self.crop_size:
            raise ValueError(f"the first scale {self.scales[0]} must be one patch {self.crop_size}")
        if any(side < patch for scale in self.scales for side, patch in zip(scale, self.crop_size, strict=True)):
            raise ValueError(f"a scale is smaller than the patch {self.crop_size}")
        return self


class EvalConfig(Section):
    """How a network is scored; validation during training and eval.py share it."""

    protocol: Literal["whole", "slide", "gluon", "mmseg", "mmseg_slide", "mfaranet"] = Field(
        "whole",
        description="whole: one forward per image and scale; slide: overlapping windows, softmax averaged; "
        "gluon: GluonCV's MultiEvalModel, as MXNetSeg was evaluated; "
        "mmseg, mmseg_slide: mmsegmentation's test modes, as MLCRNet was evaluated; "
        "mfaranet: windows and scales as MFARANet was evaluated",
    )
    base_size: Positive | None = Field(None, description="longer side at scale 1 (image's own size when empty)")
    crop_size: Size | None = Field(None, description="window of slide and gluon (training crop when empty)")
    overlap: Annotated[float, Field(ge=0, lt=1)] = Field(1 / 3, description="overlap of windows, share of the window")
    scales: list[Annotated[float, Field(gt=0)]] = Field(default_factory=lambda: [1.0])
    flip: bool = False
    refine: RefineConfig | None = Field(None, description="refine progressively instead of the protocol (MagNet)")
    boundary: bool = Field(False, description="score the borders of the classes too: boundary IoU and F-score")
    left_out: list[str] = Field(
        default_factory=list, description="classes that the means over classes (mIoU, ...) do not count, by name"
    )


class LogConfig(Section):
    """Where numbers and pictures go besides the console and the JSON-lines file."""

    wandb: str | None = Field(None, description="wandb project; no wandb when empty")
    wandb_mode: Literal["online", "offline", "disabled"] | None = Field(None, description="chosen by login when empty")
    entity: str | None = None
    name: str | None = Field(None, description="name of the run, before the time; <model>_<backbone>_<data> when empty")
    group: str | None = None
    tags: list[str] = Field(default_factory=list)
    images: Annotated[int, Field(ge=0)] = Field(4, description="validation images logged with mask overlays")


class Config(Section):
    """Everything that determines a run."""

    description: str = ""
    aliases: list[str] = Field(default_factory=list, description="further names that --config understands")
    published: dict[str, Any] = Field(default_factory=dict, description="figures of the publication, for the record")
    model: ModelConfig = Field(default_factory=ModelConfig)
    data: DataConfig = Field(default_factory=DataConfig)
    loss: LossConfig = Field(default_factory=LossConfig)
    optimizer: OptimizerConfig = Field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = Field(default_factory=ScheduleConfig)
    train: TrainConfig = Field(default_factory=TrainConfig)
    eval: EvalConfig = Field(default_factory=EvalConfig)
    log: LogConfig = Field(default_factory=LogConfig)

    @model_validator(mode="after")
    def _steps_have_epochs(self) -> Config:
        if self.schedule.name == "step" and not self.schedule.step_epochs:
            raise ValueError("schedule.name is 'step' but schedule.step_epochs is empty")
        return self

    def to_yaml(self) -> str:
        """Resolved configuration as YAML text that :func:`load_config` reads back."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)

    def crop(self) -> tuple[int, int]:
        """Training crop as (height, width)."""
        size = self.data.crop_size
        return (size, size) if isinstance(size, int) else (size[0], size[1])


def _leaves(schema: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for key, info in schema.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield from _leaves(info.annotation, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def key_names() -> list[str]:
    """Dotted names of all configuration keys."""
    return list(_leaves(Config))


def _full_key(key: str) -> str:
    """Dotted key for a dotted key or for an unambiguous last part (``lr`` -> ``optimizer.lr``)."""
    leaves = list(_leaves(Config))
    if key in leaves or any(key.startswith(f"{leaf}.") for leaf in leaves):
        return key
    matches = [leaf for leaf in leaves if leaf.endswith(f".{key}")]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise ConfigError(f"key {key!r} is ambiguous", f"one of {', '.join(matches)}")
    names = leaves + [leaf.rsplit(".", 1)[-1] for leaf in leaves]
    raise ConfigError(
        f"unknown configuration key {key!r}",
        "a key of the configuration, e.g. optimizer.lr=0.01",
        suggest(key, names) or "run `mxnetseg config` to see every key with its meaning",
    )


def apply_overrides(values: dict[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """Set ``key=value`` pairs in a nested dictionary; values are read as YAML.

    Parameters
    ----------
    values : dict
        Nested configuration values; not modified.
    overrides : iterable of str
        ``section.key=value``, or ``key=value`` where the last part is unambiguous.

    Raises
    ------
    ConfigError
        If a pair has no ``=``, its key is unknown or its value is not YAML.
    """
    result = _copy(values)
    for pair in overrides:
        key, equals, text = pair.partition("=")
        if not equals:
            raise ConfigError(f"override {pair!r} has no '='", "key=value, e.g. optimizer.lr=0.01")
        value = parse_yaml(text, f"the value of {pair[:200]!r}")
        *sections, last = _full_key(key.strip()).split(".")
        target = result
        for section in sections:
            target = target.setdefault(section, {})
            if not isinstance(target, dict):
                raise ConfigError(f"{section} = {target!r:.100}: {key} cannot be set in it", "a mapping")
        quoted = text.lstrip()[:1] in ("'", '"')
        target[last] = value if quoted else _number(value)
    return result


def _number(value: Any) -> Any:
    """YAML 1.1 reads ``1e-4`` as a word; take it as the number that everyone means."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _copy(values: dict[str, Any]) -> dict[str, Any]:
    return {k: _copy(v) if isinstance(v, dict) else v for k, v in values.items()}


def _merge(base: dict[str, Any], top: dict[str, Any]) -> dict[str, Any]:
    merged = _copy(base)
    for key, value in top.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def read_yaml(path: str | Path, _seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Read a YAML file and, recursively, the files that its ``_base_`` names (relative to it).

    Description, aliases and published figures are a file's own: they are not inherited.

    Raises
    ------
    ConfigError
        If the file is missing, is not a YAML mapping, or inherits from itself.
    """
    path = Path(path).resolve()
    if path in _seen:
        raise ConfigError(f"{path} inherits from itself through _base_", remedy="remove one of the _base_ lines")
    values = read_yaml_file(path)
    values = {} if values is None else values
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds a {type(values).__name__}", "a mapping of sections")
    bases = values.pop("_base_", [])
    bases = bases if isinstance(bases, list) else [bases]
    if not all(isinstance(base, str) for base in bases):
        raise ConfigError(f"{path}: _base_ is {bases!r:.100}", "names of files")
    result: dict[str, Any] = {}
    for base in bases:
        inherited = read_yaml(path.parent / base, (*_seen, path))
        result = _merge(result, {k: v for k, v in inherited.items() if k not in _OWN_FACTS})
    return _merge(result, values)


def _explain(error: ValidationError) -> ConfigError:
    """Turn pydantic's report into one message with a suggestion per unknown key."""
    leaves = list(_leaves(Config))
    lines, hints = [], []
    for item in error.errors():
        key = ".".join(str(part) for part in item["loc"])
        if item["type"] == "extra_forbidden":
            lines.append(f"unknown key {key!r}")
            hints.append(suggest(key, leaves))
        elif item["type"] == "literal_error":
            lines.append(f"{key} = {item['input']!r}: {item['msg']}")
            hints.append(suggest(str(item["input"]), re.findall(r"'([^']+)'", item["ctx"]["expected"])))
        else:
            lines.append(f"{key} = {item['input']!r:.200}: {item['msg']}" if key else item["msg"])
    hint = "; ".join(h for h in hints if h)
    return ConfigError("\n".join(lines), "values as `mxnetseg config` lists them", hint)


def load_config(source: str | Path | dict[str, Any] | None = None, overrides: Iterable[str] = ()) -> Config:
    """Resolve a configuration.

    Parameters
    ----------
    source : path or dict, optional
        YAML file, name of a shipped configuration, or nested values; defaults only when empty.
    overrides : iterable of str
        ``key=value`` pairs, see :func:`apply_overrides`.

    Returns
    -------
    Config

    Raises
    ------
    ConfigError
        With every wrong key or value, and suggestions for misspelt ones.
    """
    values = source if isinstance(source, dict) else read_yaml(find_config(source)) if source else {}
    try:
        return Config.model_validate(apply_overrides(values, overrides))
    except ValidationError as error:
        raise _explain(error) from error
