"""The five studies by name, and the four that ask of NIH labels and of starts."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import Code, XrayInterpError
from .contrasts import Quantity
from .plan import Run
from .questions import (
    AUROC_FINDINGS,
    AUROC_HEALTHY,
    AUROC_RARE,
    CONCEPTS,
    DETECTORS,
    ERROR,
    FOURTEEN,
    HIGHER,
    READOUT,
    RECALL,
    SCORED_FEW,
    SELF,
    SMALL,
    UNTRAINED,
    Arm,
    Headline,
    Panel,
    Study,
    beyond_chance,
    more,
    within,
)
from .severity_only import SEVERITY_ONLY

_SOURCE = Quantity("measure", "AUROC, source of unhealthy films", 0.05, digits=3)

WEAK_LABELS = Study(
    name="weak-labels",
    title="Does a network that only learns healthy or unhealthy learn thoracic concepts?",
    question="One label: NIH films are healthy if all fourteen labels are 0, Brixia-scored films if all six zones are "
    "0 for both raters. On NIH films alone, and with the scored films joined.",
    arms=(
        UNTRAINED,
        Arm("NIH", Run("healthy")),
        Arm("NIH, shuffled labels", Run("healthy", shuffled=True), "null"),
        Arm("NIH and Brixia", Run("healthy-combined")),
        Arm("fourteen labels", FOURTEEN, "upper line"),
    ),
    contrasts=(
        more("More detectors than nets trained on shuffled labels?", "NIH", "NIH, shuffled labels"),
        more("More detectors than before training?", "NIH", "untrained"),
        beyond_chance("NIH"),
        more("More detectors than a net that learned all fourteen labels?", "NIH", "fourteen labels"),
        more("More detectors with the Brixia films joined?", "NIH and Brixia", "NIH"),
        more("Within NIH films, is the label told better with them joined?", "NIH and Brixia", "NIH", AUROC_HEALTHY),
        within(
            "Is the label told better than from view, sex and age?",
            "NIH",
            AUROC_HEALTHY,
            Quantity("measure", "AUROC, healthy from view, sex, age", 0.02, digits=3),
            HIGHER,
        ),
        more(
            "Do its features tell the fourteen findings better than untrained ones (linear readout)?",
            "NIH",
            "untrained",
            READOUT,
        ),
    ),
    panels=(
        Panel("detectors, last layer, NIH masks", DETECTORS, "more"),
        Panel("healthy or not, NIH test films, AUROC", AUROC_HEALTHY, "more"),
        Panel("which source, unhealthy films, AUROC", _SOURCE, "less"),
        Panel("linear readout of 14 findings, AUROC", READOUT, "more"),
    ),
    headlines=(Headline("Healthy or unhealthy alone teaches units thoracic concepts", "learned", (0, 1)),),
    limits=(
        "{unhealthy_scored} % of the Brixia-scored films are unhealthy and {unhealthy_nih} % of NIH's: where a film is "
        "from predicts its label. Only the figure within NIH films is free of it; the {scored_test} scored test films "
        "({healthy_scored_test} of them healthy) allow none of their own.",
        "Healthy means that no label was found in a report by a text miner; films of ill patients are among them.",
        "The original weighted healthy films by 3.17 since few of its films were; here most are, and none is weighted.",
        *SMALL,
    ),
    mistakes=(
        more(
            "Sources joined: does the net rank films by source, once both are unhealthy?",
            "NIH and Brixia",
            "NIH",
            _SOURCE,
        ),
        within(
            "Sources joined: is the figure over both better than that within NIH films?",
            "NIH and Brixia",
            Quantity("measure", "AUROC, healthy over both sources", 0.02, digits=3),
            AUROC_HEALTHY,
            HIGHER,
        ),
    ),
)

PRETRAINING = Study(
    name="pretraining",
    title="What does pretraining change?",
    question="Severity and healthy or unhealthy, each learned from random weights, from a self-supervised start on the "
    "same NIH films without labels, and from a net that learned their fourteen labels.",
    arms=(
        UNTRAINED,
        Arm("self-supervised start", SELF, "before training"),
        Arm("fourteen labels", FOURTEEN, "before training"),
        Arm("severity, from scratch", Run("severity")),
        Arm("severity, from self-supervised", Run("severity", start=SELF)),
        Arm("severity, from fourteen labels", Run("severity", start=FOURTEEN)),
        Arm("healthy, from scratch", Run("healthy")),
        Arm("healthy, from self-supervised", Run("healthy", start=SELF)),
        Arm("healthy, from fourteen labels", Run("healthy", start=FOURTEEN), "upper line"),
    ),
    contrasts=(
        more(
            "Severity: smaller error from the self-supervised start than from scratch?",
            "severity, from self-supervised",
            "severity, from scratch",
            ERROR,
        ),
        more(
            "Severity: smaller error from fourteen labels than from scratch?",
            "severity, from fourteen labels",
            "severity, from scratch",
            ERROR,
        ),
        more(
            "Severity: more detectors from the self-supervised start?",
            "severity, from self-supervised",
            "severity, from scratch",
        ),
        more(
            "Severity: more detectors from fourteen labels?", "severity, from fourteen labels", "severity, from scratch"
        ),
        more(
            "Healthy: higher AUROC from the self-supervised start?",
            "healthy, from self-supervised",
            "healthy, from scratch",
            AUROC_HEALTHY,
        ),
        more(
            "Healthy: more detectors from the self-supervised start?",
            "healthy, from self-supervised",
            "healthy, from scratch",
        ),
        more("Healthy: more detectors from fourteen labels?", "healthy, from fourteen labels", "healthy, from scratch"),
        more("Has the self-supervised start more detectors than untrained nets?", "self-supervised start", "untrained"),
        more(
            "Do severity scores take detectors away from the net of fourteen labels?",
            "severity, from fourteen labels",
            "fourteen labels",
        ),
    ),
    panels=(
        Panel("detectors, last layer, NIH masks", DETECTORS, "more"),
        Panel("mean absolute error of severity", ERROR, "less"),
        Panel("healthy or not, NIH test films, AUROC", AUROC_HEALTHY, "more"),
        Panel("linear readout of 14 findings, AUROC", READOUT, "more"),
    ),
    headlines=(
        Headline("Severity, self-supervised start against random weights", "changed", (0, 2)),
        Headline("Severity, fourteen labels against random weights", "changed", (1, 3)),
        Headline("Healthy or not, self-supervised start against random weights", "changed", (4, 5)),
    ),
    limits=(
        "The paper's start is ImageNet; there are no such weights for these networks, and none is claimed here.",
        "Healthy from fourteen labels is circular: the one label is made of the fourteen, on the same films.",
        "Severity is learned at a quarter of the rate where there is a start, as is usual; set after one trial "
        "at the full rate had shown no gain from fourteen labels. Healthy or not is learned at one rate for all.",
        *SCORED_FEW,
        *SMALL,
    ),
)

IMBALANCE = Study(
    name="imbalance",
    title="What does balancing change?",
    question="Fourteen NIH labels: plain cross-entropy against positives weighted by (N - P) / P, and films as they "
    "come against films drawn by their rarest label. Both are tested on films as they come.",
    arms=(
        UNTRAINED,
        Arm("plain, natural", FOURTEEN),
        Arm("weighted, natural", Run("findings", loss="weighted")),
        Arm("plain, enriched", Run("findings", sampling="enriched")),
        Arm("weighted, enriched", Run("findings", loss="weighted", sampling="enriched")),
        Arm("plain, natural, shuffled labels", Run("findings", shuffled=True), "null"),
    ),
    contrasts=(
        more("Weighted positives: more detectors?", "weighted, natural", "plain, natural"),
        more("Weighted positives: more concepts?", "weighted, natural", "plain, natural", CONCEPTS),
        more("Weighted positives: higher mean AUROC?", "weighted, natural", "plain, natural", AUROC_FINDINGS),
        more("Weighted positives: higher AUROC of rare findings?", "weighted, natural", "plain, natural", AUROC_RARE),
        more("Enriched films: more detectors?", "plain, enriched", "plain, natural"),
        more("Enriched films: more concepts?", "plain, enriched", "plain, natural", CONCEPTS),
        more("Enriched films: higher mean AUROC?", "plain, enriched", "plain, natural", AUROC_FINDINGS),
        more("Enriched films: higher AUROC of rare findings?", "plain, enriched", "plain, natural", AUROC_RARE),
        more("Both: more detectors than neither?", "weighted, enriched", "plain, natural"),
        more(
            "Do labels matter: more detectors than on shuffled ones?",
            "plain, natural",
            "plain, natural, shuffled labels",
        ),
    ),
    panels=(
        Panel("detectors, last layer, NIH masks", DETECTORS, "more"),
        Panel("concepts with a detector", CONCEPTS, "more"),
        Panel("14 findings, NIH test films, AUROC", AUROC_FINDINGS, "more"),
        Panel("rare findings, AUROC", AUROC_RARE, "more"),
    ),
    headlines=(
        Headline("Weighted positives against plain", "changed", (0, 1, 2)),
        Headline("Enriched films against natural", "changed", (4, 5, 6)),
    ),
    limits=(
        "Findings on under 3 % of the training films are called rare: {rare}. They have few test films, and their mean "
        "is uncertain.",
        "Enriched films are drawn with replacement, as many as there are: the rare ones come again and again.",
        *SMALL,
    ),
    mistakes=(
        more(
            "Recall at probability .5, by which the original tells its two models apart: does it rise by weighting "
            "(which moves the threshold, and need not rank any better)?",
            "weighted, natural",
            "plain, natural",
            RECALL,
        ),
    ),
)

ARCHITECTURE = Study(
    name="architecture",
    title="What does the architecture change?",
    question="Fourteen NIH labels learned by a DenseNet, a ResNet and a VGG of about equally many weights, units and "
    "grids.",
    arms=(
        UNTRAINED,
        Arm("DenseNet", FOURTEEN),
        Arm("ResNet, untrained", Run("untrained", architecture="resnet"), "before training"),
        Arm("ResNet", Run("findings", architecture="resnet")),
        Arm("VGG, untrained", Run("untrained", architecture="vgg"), "before training"),
        Arm("VGG", Run("findings", architecture="vgg")),
    ),
    contrasts=(
        more("ResNet: more detectors than DenseNet?", "ResNet", "DenseNet"),
        more("VGG: more detectors than DenseNet?", "VGG", "DenseNet"),
        more("ResNet: higher mean AUROC than DenseNet?", "ResNet", "DenseNet", AUROC_FINDINGS),
        more("VGG: higher mean AUROC than DenseNet?", "VGG", "DenseNet", AUROC_FINDINGS),
        more("ResNet: more detectors than before training?", "ResNet", "ResNet, untrained"),
        more("VGG: more detectors than before training?", "VGG", "VGG, untrained"),
        more("DenseNet: more detectors than before training?", "DenseNet", "untrained"),
    ),
    panels=(
        Panel("detectors, last layer, NIH masks", DETECTORS, "more"),
        Panel("concepts with a detector", CONCEPTS, "more"),
        Panel("14 findings, NIH test films, AUROC", AUROC_FINDINGS, "more"),
    ),
    headlines=(
        Headline("ResNet against DenseNet", "changed", (0, 2)),
        Headline("VGG against DenseNet", "changed", (1, 3)),
    ),
    limits=(
        "Alike in weights (features: DenseNet {weights}, ResNet {weights_resnet}, VGG {weights_vgg}), units and grids, "
        "not in multiplications; one rate and schedule serves all three.",
        "Architectures as published differ in size by an order of magnitude; of them this says nothing.",
        *SMALL,
    ),
)

STUDIES: Mapping[str, Study] = {
    study.name: study for study in (SEVERITY_ONLY, WEAK_LABELS, PRETRAINING, IMBALANCE, ARCHITECTURE)
}


def study_named(name: str) -> Study:
    """A study by name.

    Raises:
        XrayInterpError: `bad-option`, listing those there are.
    """
    if name not in STUDIES:
        raise XrayInterpError(
            Code.BAD_OPTION, f"There is no study {name!r}.", f"There are: {', '.join(STUDIES)}; and all."
        )
    return STUDIES[name]
