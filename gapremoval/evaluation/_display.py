"""ComparisonDisplay: draws what `compare` and the experiments return."""

from numbers import Number

from .._optional import import_optional

NOT_KEYS = ("answer_modality", "n_queries", "mean", "low", "high")


class ComparisonDisplay:
    """Draw a comparison: dots by corpus, or curves over a number.

    If a column besides the pipeline holds numbers, such as a share of images or a fusion weight,
    each pipeline is a curve over it. Otherwise there is a dot for each pipeline and corpus: those
    of which there are more have lines, the others have colors. Intervals are bands and bars.

    Parameters
    ----------
    comparison : Comparison
        From `compare` or an experiment.
    answer_modality : str, default="all"
        The queries that are shown, by the modality of their answers.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where it was drawn.
    figure_ : matplotlib Figure
        The figure of `ax_`.

    Examples
    --------
    >>> import numpy as np
    >>> from gapremoval import MixedModalityRetriever
    >>> from gapremoval.evaluation import ComparisonDisplay, sweep_image_share
    >>> text, image = np.random.default_rng(0).normal(size=(2, 40, 8))
    >>> raw = {"raw": MixedModalityRetriever()}
    >>> curve = sweep_image_share(raw, text, image, questions=text, n_draws=1)
    >>> display = ComparisonDisplay(curve).plot()
    >>> display.ax_.get_xlabel()
    'image share'
    """

    def __init__(self, comparison, answer_modality="all"):
        self.comparison = comparison
        self.answer_modality = answer_modality

    def plot(self, ax=None):
        """Draw into axes.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            By default those of a new figure.

        Returns
        -------
        ComparisonDisplay
            Itself.

        Raises
        ------
        ValueError
            If no query has an answer of this modality, or several corpora and numbers would be
            drawn over each other.
        ImportError
            If matplotlib is not installed.
        """
        plt = import_optional("matplotlib.pyplot", extra="plot", purpose="Drawing a comparison")
        shown = self.comparison[self.comparison["answer_modality"] == self.answer_modality]
        if shown.empty:
            raise ValueError(f"No query has an answer of modality {self.answer_modality!r}.")
        keys = [x for x in shown.columns if x not in NOT_KEYS and shown[x].nunique() > 1]
        others = [x for x in keys if x != "pipeline"] or ["corpus"]
        if len(others) > 1:
            raise ValueError(
                f"The comparison varies in {', '.join(others)}: select one value of all but one, "
                "as in comparison[comparison.corpus == 'a']."
            )
        is_curve = others[0] in shown and all(isinstance(x, Number) for x in shown[others[0]])
        if ax is None:
            n_lines = 0 if is_curve else max(shown[x].nunique() for x in ["pipeline", *keys])
            height = max(4.8, 1 + 0.4 * n_lines)
            _, ax = plt.subplots(figsize=(7.2, height), layout="constrained")
        (self._curves if is_curve else self._dots)(ax, shown, others[0])
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _curves(self, ax, shown, x):
        for name, some in shown.groupby("pipeline", sort=False):
            some = some.sort_values(x)
            (line,) = ax.plot(some[x], some["mean"], marker=".", label=name)
            band = (some[key].astype(float) for key in ("low", "high"))
            ax.fill_between(some[x], *band, color=line.get_color(), alpha=0.15, linewidth=0)
        ax.set(xlabel=x.replace("_", " "), ylabel=self.comparison.metric)
        ax.legend(frameon=False)

    def _dots(self, ax, shown, y):
        shown = shown if y in shown else shown.assign(**{y: ""})
        # The longer list goes down the page, and the other one has colors, of which there are ten.
        line, color = sorted([y, "pipeline"], key=lambda key: -shown[key].nunique())
        lines, colors = (list(dict.fromkeys(shown[key])) for key in (line, color))
        for i, name in enumerate(colors):
            some = shown[shown[color] == name]
            place = 0.6 * (i / max(len(colors) - 1, 1) - 0.5)
            places = [lines.index(x) + place for x in some[line]]
            spread = [some["mean"] - some["low"], some["high"] - some["mean"]]
            ax.errorbar(some["mean"], places, xerr=spread, fmt="o", markersize=4, label=name)
        ax.set_yticks(range(len(lines)), [str(x) for x in lines])
        ax.set(xlabel=self.comparison.metric, ylim=(len(lines) - 0.5, -0.5))
        if ax.get_xlim()[0] < 0:  # differences
            ax.axvline(0, color="#bbbbbb", linewidth=1, zorder=0)
        if colors != [""]:
            ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
