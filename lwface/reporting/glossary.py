"""What the words of a report mean, to be read where they stand."""

from __future__ import annotations

from lwface.reporting.markup import escape

GLOSSARY = {
    "score": "The cosine of two features, from −1 to 1: how alike two images are to the network.",
    "genuine pair": "Two images of one person.",
    "impostor pair": "Images of two people: strangers to each other.",
    "threshold": (
        "A pair is accepted as one person when its score is at least this. The one given for a FAR is the"
        " smallest that keeps to it, exactly."
    ),
    "FAR": "False accept rate: the share of impostor pairs that are accepted. 1e-4 is one stranger in 10,000.",
    "achieved FAR": (
        "What the threshold really lets in: never above the FAR asked for; below it where scores tie or "
        "the number of pairs does not divide."
    ),
    "TAR": "True accept rate: the share of genuine pairs that are accepted. Higher is better.",
    "FRR": "False reject rate: the share of genuine pairs that are refused, 1 − TAR.",
    "false accepts": "Impostor pairs at or above the threshold, counted one by one.",
    "true accepts": "Genuine pairs at or above the threshold, counted one by one.",
    "not resolvable": "The FAR is less than one impostor pair of this set: more pairs are needed.",
    "95 % interval": (
        "Where the figure would be with other people from the same source, in 95 of 100 cases. It "
        "respects that pairs share people; it does not speak for another source."
    ),
    "equal error rate": ("The error where FAR and FRR are equal: one number for the whole curve. Lower is better."),
    "best accuracy": (
        "The largest share judged right by any one threshold when genuine and impostor pairs weigh the "
        "same. It is chosen on these pairs, so that on others it will be a little less."
    ),
    "squared L2 distance": (
        "2 − 2 cosine, for programs that compare distances of normalised features. The figure given "
        "accepts no pair that the cosine refuses."
    ),
    "ROC": "TAR over FAR, for every threshold.",
    "DET": "FRR over FAR, both on logarithmic axes.",
    "gap": "The largest TAR of a value less the smallest, of values with ten people or more.",
    "loss": (
        "What training makes small; the mean of the steps since the point before. Its size depends on the"
        " loss function."
    ),
    "training accuracy": (
        "Share of the training images that the classifier puts first, with the margin against it: it "
        "stays low for long with margin losses."
    ),
    "learning rate": "How far a step goes.",
    "pack accuracy": (
        "Share of a verification pack’s pairs judged right, each of its folds (mostly ten) at the best "
        "threshold of the others; of people who are not trained on where the pack is made so. 0.5 is chance."
    ),
    "XNorm": "Mean norm of the unnormalised features. One that explodes or vanishes tells of a run gone wrong.",
}


def terms(*names: str) -> str:
    """A folded list of what ``names`` mean, to stand below a heading; each is a key of :data:`GLOSSARY`."""
    items = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(GLOSSARY[name])}</dd></div>" for name in names)
    words = ", ".join(escape(name) for name in names)
    return f'<details class="terms"><summary>What it means: {words}</summary><dl>{items}</dl></details>'
