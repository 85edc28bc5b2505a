"""ComparisonDisplay: draws what `compare` and the experiments return."""

from numbers import Number

from .._optional import import_optional

MARKERS = "os^Dv<>PX*"  # which tell apart what has no other color in print
NOT_KEYS = ("answer_modality", "n_queries", "mean", "low", "high")


class ComparisonDisplay:
    """Draw a comparison: dots by corpus, or curves over a number.

    If a column besides the pipeline holds numbers, such as a share of images or a fusion weight,
    each pipeline is a curve over it. Otherwise there is a dot for each pipeline and corpus: those
    of which there are more have lines, the others have colors. Lines of pipelines are in the order
    of their means over the corpora, which are marked. Intervals are bands and bars.

    Draw one with `from_comparison`. Paired differences, those of ``difference_to("raw")``, are
    drawn around 0.

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
    >>> display = ComparisonDisplay.from_comparison(curve)
    >>> display.ax_.get_xlabel()
    'image share'
    """

    def __init__(self, comparison, answer_modality="all"):
        self.comparison = comparison
        self.answer_modality = answer_modality

    @classmethod
    def from_comparison(cls, comparison, *, answer_modality="all", ax=None):
        """Draw what `compare` or an experiment returned.

        Parameters
        ----------
        comparison : Comparison
            Such as from `compare` or, for the curve over the share of images,
            `sweep_image_share`.
        answer_modality : str, default="all"
            The queries that are shown, by the modality of their answers.
        ax : matplotlib Axes, default=None
            By default those of a new figure.

        Returns
        -------
        ComparisonDisplay

        Raises
        ------
        ValueError, ImportError
            As for `plot`.
        """
        return cls(comparison, answer_modality).plot(ax)

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
            n_lines = max(shown[x].nunique() for x in ["pipeline", *keys])
            figsize = None if is_curve else (9, 1.2 + 0.4 * n_lines)
            _, ax = plt.subplots(figsize=figsize, layout="constrained")
        (self._curves if is_curve else self._dots)(ax, shown, others[0])
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _curves(self, ax, shown, x):
        for i, (name, some) in enumerate(shown.groupby("pipeline", sort=False)):
            some, marker = some.sort_values(x), MARKERS[i % len(MARKERS)]
            (line,) = ax.plot(some[x], some["mean"], marker=marker, markersize=4, label=name)
            band = (some[key].astype(float) for key in ("low", "high"))
            ax.fill_between(some[x], *band, color=line.get_color(), alpha=0.15, linewidth=0)
        ax.set(xlabel=x.replace("_", " "), ylabel=self.comparison.metric)
        ax.legend(frameon=False)

    def _dots(self, ax, shown, y):
        shown = shown if y in shown else shown.assign(**{y: ""})
        # The longer list goes down the page, and the other one has colors, of which there are ten.
        line, color = sorted([y, "pipeline"], key=lambda key: -shown[key].nunique())
        means = shown.groupby(line, sort=False)["mean"].mean()
        if line == "pipeline":
            means = means.sort_values(ascending=False, kind="stable")
        lines, colors = means.index.tolist(), shown[color].unique().tolist()
        for i, name in enumerate(colors):
            some = shown[shown[color] == name]
            place = 0.7 * ((i + 0.5) / len(colors) - 0.5)
            places = [lines.index(x) + place for x in some[line]]
            spread = [some["mean"] - some["low"], some["high"] - some["mean"]]
            look = {"fmt": MARKERS[i % len(MARKERS)], "markersize": 4, "elinewidth": 1}
            ax.errorbar(some["mean"], places, xerr=spread, label=name, **look)
        if line == "pipeline" and len(colors) > 1:
            look = {"marker": "|", "color": "#333333", "s": 260, "linewidths": 2, "zorder": 3}
            ax.scatter(means, range(len(lines)), label="mean", **look)
        ax.set_yticks(range(len(lines)), [str(x) for x in lines])
        ax.set(xlabel=self.comparison.metric, ylim=(len(lines) - 0.5, -0.5))
        for i in range(1, len(lines), 2):
            ax.axhspan(i - 0.5, i + 0.5, color="#f2f2f2", zorder=0)
        if shown[["mean", "low"]].min(axis=None) <= 0:  # differences
            ax.axvline(0, color="#999999", linewidth=1, zorder=1)
        if len(colors) > 1:
            ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
