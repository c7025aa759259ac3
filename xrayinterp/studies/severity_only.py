"""The study of severity: its arms, questions and limits."""

from __future__ import annotations

from .contrasts import Contrast, Quantity, Side
from .dissected import COVID_SCORED_SEEN, COVID_SCORED_UNSEEN
from .plan import Run
from .questions import (
    ALONE,
    COVID_DETECTORS,
    DETECTORS,
    ERROR,
    FOURTEEN,
    PERMUTED,
    READOUT,
    SCORED_FEW,
    SELF,
    SMALL,
    SMALLER_ERROR,
    UNTRAINED,
    Arm,
    Headline,
    Panel,
    Study,
    beyond_chance,
    more,
    within,
)

SEVERITY_ONLY = Study(
    name="severity-only",
    title="Does a network trained on COVID-19 severity alone learn thoracic concepts?",
    question="The paper says that units of a net trained on severity scores alone align with pathologies. Here it "
    "is trained from random weights and from a self-supervised start, never from a net that saw a pathology label "
    "(but for the upper line, marked so), beside nets trained on scores of other patients and the net before training.",
    arms=(
        UNTRAINED,
        Arm("from scratch", Run("severity")),
        Arm("from scratch, shuffled scores", Run("severity", shuffled=True), "null"),
        Arm("self-supervised start", SELF, "before training"),
        Arm("from self-supervised", Run("severity", start=SELF)),
        Arm("from self-supervised, shuffled scores", Run("severity", start=SELF, shuffled=True), "null"),
        Arm("fourteen labels", FOURTEEN, "upper line"),
        Arm("from fourteen labels", Run("severity", start=FOURTEEN), "upper line"),
        Arm("from scratch, divided by the mean", Run("severity", loss="mean-as-deviation"), "mistake"),
        Arm("from scratch, six zones", Run("severity", loss="zones")),
        Arm("from scratch, six zones, error without gradient", Run("severity", loss="zones-argmax"), "mistake"),
    ),
    contrasts=(
        more(
            "From scratch: more detectors than nets trained on shuffled scores?",
            "from scratch",
            "from scratch, shuffled scores",
        ),
        more("From scratch: more detectors than before training?", "from scratch", "untrained"),
        more(
            "From the self-supervised start: more detectors than nets trained on shuffled scores?",
            "from self-supervised",
            "from self-supervised, shuffled scores",
        ),
        more(
            "From the self-supervised start: more detectors than before training on severity?",
            "from self-supervised",
            "self-supervised start",
        ),
        more("Has the upper line more detectors than severity from scratch?", "from fourteen labels", "from scratch"),
        more(
            "On COVID-19 films of patients unseen, from scratch: more detectors than on shuffled scores?",
            "from scratch",
            "from scratch, shuffled scores",
            COVID_DETECTORS,
        ),
        beyond_chance("from scratch"),
        more(
            "Do its features tell the fourteen findings better than untrained ones (linear readout)?",
            "from scratch",
            "untrained",
            READOUT,
        ),
        within(
            "From scratch: is severity of unseen patients predicted better than by the mean?",
            "from scratch",
            ERROR,
            Quantity("measure", "error of the training mean", 0.3, digits=2),
            SMALLER_ERROR,
        ),
        within(
            "And better than from view, sex and age?",
            "from scratch",
            ERROR,
            Quantity("measure", "error from view, sex, age", 0.3, digits=2),
            SMALLER_ERROR,
        ),
    ),
    panels=(
        Panel("detectors, last layer, NIH masks", DETECTORS, "more"),
        Panel("detectors, last layer, COVID-19 masks", COVID_DETECTORS, "more"),
        Panel("mean absolute error of severity", ERROR, "less"),
        Panel("linear readout of 14 findings, AUROC", READOUT, "more"),
    ),
    headlines=(
        Headline("Severity alone, from random weights, teaches units thoracic concepts", "learned", (0, 1)),
        Headline("Severity alone, from the self-supervised start, teaches more", "learned", (2, 3)),
    ),
    limits=(
        *SCORED_FEW,
        "Of the {covid} COVID-19 films with masks {covid_scored} are scored. Severity nets are dissected there after a "
        "training without these films' patients, thus on {held_out} films; without that only {covid_left} films of "
        "{covid_left_patients} patients would be left.",
        "Pleural effusion and pneumothorax rest on one film each among the COVID-19 masks: their figures mean nothing.",
        *SMALL,
    ),
    mistakes=(
        within(
            "IoU > .04 without a null: how many units pass, and how many do on masks of other patients?",
            "from scratch, shuffled scores",
            ALONE,
            PERMUTED,
            {
                "more": "Even a net trained on shuffled scores passes more often than chance",
                "alike": "On shuffled scores, as many as by chance",
            },
        ),
        Contrast(
            "Detectors counted on films the net was trained on, against films of unseen patients (the same films)?",
            Side("from scratch", Quantity("detectors", "detectors", 3.0, COVID_SCORED_SEEN)),
            Side("from scratch", Quantity("detectors", "detectors", 3.0, COVID_SCORED_UNSEEN)),
            {"more": "More on films it has seen", "less": "Fewer on films it has seen", "alike": "It did not matter"},
        ),
        within(
            "Validation films that were trained on (93 % of the original's): how much smaller is the error there?",
            "from scratch",
            Quantity("measure", "error on films it has seen", 0.3, digits=2),
            ERROR,
            {"less": "Smaller: such a figure flatters", "alike": "It did not matter", "more": "Larger"},
        ),
        more(
            "Scores divided by the mean where the standard deviation belongs: another error?",
            "from scratch, divided by the mean",
            "from scratch",
            ERROR,
        ),
        more(
            "Six zones, absolute error with a gradient against one without: another error?",
            "from scratch, six zones",
            "from scratch, six zones, error without gradient",
            ERROR,
        ),
    ),
)
