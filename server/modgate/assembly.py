"""The composition root: models, detectors and compiled rules from settings. Everything else is given its parts."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from modgate.detectors.base import Detector
from modgate.detectors.cheap import cheap_detectors
from modgate.detectors.faults import parse_faults, with_faults
from modgate.detectors.flood import FloodDetector
from modgate.detectors.image import ImageDetector
from modgate.detectors.known_pictures import KnownPictureDetector
from modgate.detectors.ocr import OcrReader
from modgate.detectors.picture_text import PictureTexts, with_picture_text
from modgate.detectors.text import SentimentDetector, SimilarDetector, TextDetector
from modgate.inference.bundle import Bundle, BundleError, find_bundles
from modgate.inference.by_language import ByLanguage
from modgate.inference.cascade import Cascade
from modgate.inference.cores import cpu_quota
from modgate.inference.image_model import ImageModel
from modgate.inference.languages import ForeignShare
from modgate.inference.processes import ModelProcesses
from modgate.inference.runner import Runner
from modgate.inference.session import Opener, Session
from modgate.inference.text_model import TextModel
from modgate.media.limits import Limits as MediaLimits
from modgate.media.pool import DecodePool
from modgate.media.reference import AllowedHost, References
from modgate.media.video import VideoReader, heif_available
from modgate.media.video import available as video_available
from modgate.media.viewer import Viewer
from modgate.rules import Document, Inspectors, Ruleset, compile_ruleset
from modgate.rules.guard import asked_below_default
from modgate.settings import ModelSettings, Settings
from modgate.telemetry import GateObserver

__all__ = ["Engine", "build_engine"]

_AUTO = "auto"
_MULTILINGUAL = "text-multi"
"""The bundle that `auto` takes for other languages, if it is there."""
_PICTURES_AFTER, _LEAST_URGENT = 5, 19
"""How much nicer threads are that work on pictures than those for text, and the nicest there is."""


@dataclass(slots=True)
class Engine:
    """Loaded models and the detectors over them; they outlive rulesets.

    Attributes:
        runner: The workers that run models of text.
        processes: Where those models run, if that is not here.
        viewers: The workers that run models of pictures.
        decoders: The workers that decode pictures.
        readers: The workers that read text in pictures.
        video: The processes that decode videos.
        heif: The processes that decode HEIC pictures.
        detectors: By name.
        bundles: Which bundles each detector asks.
        text: The full text model.
        cascade: The text model with a first stage before it, if there is one.
        by_language: That, or the text model, beside a model of other languages, if there is one.
        every_language: The text model without a first stage, beside a model of other languages, if there is one.
        faults: Drills in force.
        inspectors: What earlier rulesets asked of the detectors.
    """

    runner: Runner
    viewers: Runner
    decoders: DecodePool
    detectors: dict[str, Detector[Any]]
    bundles: dict[str, list[Bundle]] = field(default_factory=dict)
    text: TextModel | None = None
    cascade: Cascade | None = None
    by_language: ByLanguage | None = None
    every_language: ByLanguage | None = None
    texts: PictureTexts | None = None
    readers: DecodePool | None = None
    video: VideoReader | None = None
    heif: VideoReader | None = None
    processes: ModelProcesses | None = None
    faults: tuple[str, ...] = ()
    inspectors: Inspectors = field(default_factory=Inspectors)

    @property
    def floods(self) -> FloodDetector:
        """The flood detector, which counts."""
        detector = self.detectors[FloodDetector.name]
        if not isinstance(detector, FloodDetector):
            raise TypeError("the flood detector was exchanged")
        return detector

    def compile(self, document: Document) -> Ruleset:
        """Compile rules for these detectors, with the drills in force. May take seconds; thread-safe."""
        ruleset = self._with_full_model(compile_ruleset(document, self.detectors, reuse=self.inspectors))
        if self.texts is not None:
            ruleset = with_picture_text(ruleset, self.texts)
        return with_faults(ruleset, parse_faults(self.faults))

    def _with_full_model(self, ruleset: Ruleset) -> Ruleset:
        """Return the ruleset without the cascade, if a rule has a threshold that the first stage is not certain of."""
        if self.cascade is None or self.text is None or TextDetector.name not in ruleset.inspections:
            return ruleset
        defaults = TextDetector(self.text).labels
        below = asked_below_default(ruleset.rules, TextDetector.name, defaults)
        if not below:
            return ruleset
        asked = {label for leaf in ruleset.leaves if leaf.detector == TextDetector.name for label in leaf.labels}
        inspection = ruleset.inspections[TextDetector.name]
        full = replace(inspection, inspector=TextDetector(self.text, self.every_language).configure(sorted(asked)))
        warning = f"the cascade is off: rules ask for {', '.join(sorted(below))} below the default threshold"
        return replace(
            ruleset,
            inspections={**ruleset.inspections, TextDetector.name: full},
            warnings=(*ruleset.warnings, warning),
        )

    async def start(self) -> None:
        """Start the decoding processes, which takes longer than a message may."""
        for processes in (self.video, self.heif):
            if processes is not None:
                await processes.start()

    def close(self) -> None:
        """Stop the workers."""
        self.runner.close()
        if self.processes is not None:
            self.processes.close()
        self.viewers.close()
        self.decoders.close()
        if self.readers is not None:
            self.readers.close()
        for processes in (self.video, self.heif):
            if processes is not None:
                processes.kill()


def build_engine(settings: Settings, observer: GateObserver | None = None, *, apart: bool = False) -> Engine:
    """Load and warm up all models. Takes seconds; not for the event loop.

    Args:
        settings: Which models, and how.
        observer: Told of every batch.
        apart: Whether models of text may run in processes of their own, if the settings say so: for what serves. A
            tool that judges one message would only wait for them to start.

    Raises:
        BundleError: If a bundle is missing or cannot be used.
        ValueError: If a drill cannot be read.
    """
    parse_faults(settings.fault)
    models = settings.models
    workers = models.workers or max(1, round(cpu_quota()))
    ran = observer.batch_ran if observer else None
    # A picture takes ten times as long as a text and cannot be interrupted, so it gets threads of its own: the
    # scheduler then takes the core from it as soon as there is a text (docs/decisions/images.md).
    after = min(_LEAST_URGENT, models.nice + _PICTURES_AFTER)
    apart = apart and models.processes and bool(models.text)
    engine = Engine(
        # A thread that only waits for its process needs no niceness of its own.
        Runner(workers, nice=0 if apart else models.nice, on_batch=ran),
        Runner(workers, nice=after, on_batch=ran),
        DecodePool(workers, nice=after),
        cheap_detectors(),
        faults=settings.fault,
    )
    try:
        if apart:
            engine.processes = ModelProcesses(workers, nice=models.nice)
        _load(engine, settings, after)
        _check_faults(engine)
    except BaseException:
        engine.close()
        raise
    return engine


def _check_faults(engine: Engine) -> None:
    # A misspelt drill must not look like one that is running.
    for name in parse_faults(engine.faults):
        # Detectors that read the text in pictures are called like those of the message's text, with a prefix.
        known = name.removeprefix("ocr_") if engine.texts is not None else name
        if known not in engine.detectors:
            raise ValueError(f"there is no detector {name} to drill; there are {', '.join(sorted(engine.detectors))}")


def _load(engine: Engine, settings: Settings, nice: int) -> None:
    models = settings.models
    found = find_bundles(models.bundles)
    if models.text:
        _load_text(engine, found, models)
    if models.heif:
        if not heif_available():
            raise ValueError("models.heif needs pi-heif: install modgate[heif]")
        engine.heif = VideoReader(models.heif, frames=MediaLimits().frames, program="modgate.media.heif_worker")
    viewer = Viewer(engine.decoders, heif=engine.heif, references=_references(settings))
    engine.detectors["known_picture"] = KnownPictureDetector(viewer)
    if models.ocr:
        bundle = _bundle(found, models.ocr, models)
        engine.readers = DecodePool(max(1, round(cpu_quota())), nice=nice)
        engine.texts = PictureTexts(OcrReader(bundle), viewer, engine.readers)
        engine.bundles["ocr"] = [bundle]
    if models.images:
        bundles = [_bundle(found, name, models) for name in models.images]
        images = [ImageModel(bundle, engine.viewers) for bundle in bundles]
        if models.video:
            if not video_available():
                raise ValueError("models.video needs PyAV: install modgate[video]")
            engine.video = VideoReader(models.video)
        engine.detectors["image"] = ImageDetector(images, viewer, video=engine.video)
        engine.bundles["image"] = bundles


def _load_text(engine: Engine, found: Mapping[str, Path], models: ModelSettings) -> None:
    bundle = _bundle(found, models.text or "", models)
    open_model: Opener = Session if engine.processes is None else engine.processes.open
    text = engine.text = TextModel(bundle, engine.runner, cache_entries=models.cache_entries, open_model=open_model)
    used = [bundle]
    if models.first == _AUTO:
        first = _first_stage(found, bundle)
    else:
        first = _bundle(found, models.first, models) if models.first else None
    if first is not None:
        plain = TextModel(first, engine.runner, cache_entries=0, open_model=open_model)
        engine.cascade = Cascade(plain, text, cache_entries=models.cache_entries)
        used.append(first)
    others = _other_languages(found, bundle, models)
    if others is not None:
        # Only the event loop asks it, so one tokenizer is enough.
        both = TextModel(others, engine.runner, cache_entries=models.cache_entries, open_model=open_model, tokenizers=1)
        foreign = ForeignShare(_languages(bundle), _languages(others))
        engine.every_language = ByLanguage(text, text, both, foreign, cache_entries=models.cache_entries)
        engine.by_language = engine.every_language
        if engine.cascade is not None:
            engine.by_language = ByLanguage(engine.cascade, text, both, foreign, cache_entries=models.cache_entries)
        used.append(others)
    labels = TextDetector(text, engine.by_language or engine.cascade)
    for detector in (labels, SentimentDetector(text, engine.every_language), SimilarDetector(text)):
        engine.detectors[detector.name] = detector
        engine.bundles[detector.name] = [bundle]
    engine.bundles[SentimentDetector.name] = [bundle, *([others] if others is not None else [])]
    engine.bundles[TextDetector.name] = used


def _other_languages(found: Mapping[str, Path], own: Bundle, models: ModelSettings) -> Bundle | None:
    """Return the bundle for languages that the text bundle does not read, if there is one and any."""
    if models.multilingual != _AUTO:
        return _bundle(found, models.multilingual, models) if models.multilingual else None
    if _MULTILINGUAL not in found or not _languages(own):
        return None
    bundle = Bundle.load(found[_MULTILINGUAL])
    return bundle if set(_languages(bundle)) - set(_languages(own)) else None


def _languages(bundle: Bundle) -> tuple[str, ...]:
    return tuple(bundle.manifest.text.languages) if bundle.manifest.text is not None else ()


def _first_stage(found: Mapping[str, Path], full: Bundle) -> Bundle | None:
    """Return the bundle that says it is the first stage of this very version of a model, if there is one."""
    identity = f"{full.manifest.name} {full.manifest.version}"
    for folder in found.values():
        with suppress(OSError, ValueError):
            manifest = json.loads((folder / "manifest.json").read_bytes())
            if manifest.get("first_stage_of") == identity:
                return Bundle.load(folder)
    return None


def _references(settings: Settings) -> References | None:
    media = settings.media
    if not media.hosts and not media.folders:
        return None
    hosts = [AllowedHost.parse(host) for host in media.hosts]
    return References(hosts, media.folders, file_bytes=settings.limits.media_bytes)


def _bundle(found: Mapping[str, Path], name: str, models: ModelSettings) -> Bundle:
    if name not in found:
        places = ", ".join(map(str, models.bundles))
        raise BundleError(name, f"not found in {places}; run `modgate models fetch` or set models.bundles")
    return Bundle.load(found[name])
