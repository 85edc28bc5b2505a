"""The verdict of a report, in sentences: correct, do not correct, or cannot tell."""

from ._report_words import number, percent

FEW_ROWS = 20  # of a modality, from which nothing follows
NOTABLE = 0.005  # loss of NDCG


def verdict(facts):
    """What to do about the gap, and why.

    Parameters
    ----------
    facts : dict
        What `gap_facts`, `search_facts` and `choice_facts` return.

    Returns
    -------
    dict
        ``advice`` (``"correct"``, ``"do not correct"`` or ``"cannot tell"``), ``headline``,
        ``summary`` and ``reasons`` (lists of sentences).
    """
    pairs, advised = facts["pairs"], facts["advised"]
    advice, headline, said = _advice(pairs, facts["n_measured"], advised)
    has_gap = any(pair["should_correct"] for pair in pairs)
    summary = [said]
    if has_gap and len(facts["data"]["documents"]) == 1:
        summary.append(
            "All of your documents have the same parts, so the gap cannot put one before another. "
            "It lets one part of a document outweigh the other, and would rank documents with one "
            "part alone by their modality."
        )
    if facts["ranking"] is not None and advice == "correct":
        summary += _search_summary(facts["ranking"], facts["data"], has_gap)
    return {
        "advice": advice,
        "headline": f"{advice.capitalize()}: {headline}",
        "summary": summary,
        "reasons": [_reason(pair) for pair in pairs],
    }


def _advice(pairs, n_measured, advised):
    """The advice, its headline, and the sentences that explain it."""
    gaps = [pair for pair in pairs if pair["should_correct"]]
    if gaps and advised == "raw":
        return (
            "do not correct",
            "there is a modality gap, but your queries are better off with it",
            (
                "The modalities lie apart. Still, plain cosine ranks the queries with known "
                "answers better than any correction, and by more than chance explains."
            ),
        )
    if gaps:
        first, second = max(gaps, key=lambda pair: pair["effect_size"])["between"]
        return (
            "correct",
            "there is a modality gap",
            (
                f"The embeddings of {first} and of {second} lie in two separate clouds: this is "
                "the modality gap. A search by plain cosine ranks by modality first, and by "
                "meaning second."
            ),
        )
    advice, headline, said = _without_gap(pairs, n_measured)
    if advised != "raw":
        headline += f", though your queries find more with “{advised}”"
        said += (
            f" Still, the queries with known answers are ranked better by “{advised}”, and by more "
            "than chance explains. It removes no gap then, but what else blurs the meaning, such "
            "as what all queries have in common. The code below makes it."
        )
    return advice, headline, said


def _without_gap(pairs, n_measured):
    if not pairs:
        (name,) = n_measured
        return (
            "do not correct",
            "all documents have one modality",
            (
                f"All documents are {name}. A modality gap puts documents of one modality before "
                "those of another, so there is nothing here that it could put in the wrong place."
            ),
        )
    if any(pair["fewest_rows"] < FEW_ROWS for pair in pairs):
        return (
            "cannot tell",
            "there are too few rows",
            f"Give at least {FEW_ROWS} rows of each modality, better some hundred.",
        )
    return (
        "do not correct",
        "there is no modality gap",
        "The embeddings do not lie apart by their modality: there is no gap to remove.",
    )


def _search_summary(ranking, data, has_gap):
    """What the raw search prefers and loses, and what the correction gains and costs."""
    raw, removed, best = ranking["ways"]
    k, of_corpus, said = ranking["k"], ranking["share_of_corpus"], []
    preferred = max(of_corpus, key=lambda name: raw["share_of_top"][name] / of_corpus[name])
    if has_gap and len(of_corpus) > 1:
        where = "the documents searched" if data["sample"] or data["stand_ins"] else "the corpus"
        said.append(
            f"{_capitalized(preferred)} documents make up {percent(of_corpus[preferred])} of "
            f"{where} and {percent(raw['share_of_top'][preferred])} of the first {k} results "
            f"({percent(best['share_of_top'][preferred])} with the recommended search)."
        )
    if raw["ndcg_all"] is not None:
        known = {name: value for name, value in raw["ndcg"].items() if value is not None}
        lost = min(known, key=known.get)
        said.append(
            f"Right answers are found with an NDCG@{k} of {number(raw['ndcg_all'])} (1: always "
            f"first, 0: never found), {number(removed['ndcg_all'])} once the gap is removed, and "
            f"{number(best['ndcg_all'])} with the recommended search."
        )
        if len(known) > 1:
            said.append(
                f"Where the right answer is {lost}, it is {number(known[lost])}, "
                f"{number(removed['ndcg'][lost])} and {number(best['ndcg'][lost])}."
            )
        costs = [name for name in known if best["ndcg"][name] < known[name] - NOTABLE]
        said += [
            f"The price: where it is {name}, it falls from {number(known[name])} to "
            f"{number(best['ndcg'][name])}."
            for name in costs
        ]
    if said and data["stand_ins"]:
        said.insert(0, f"A trial, and no measure of your own queries: {data['stand_ins']}")
    return said


def _capitalized(text):
    return text[:1].upper() + text[1:]


def _reason(pair):
    first, second = pair["between"]
    if pair["p_value"] is None:
        few = f"one of them has only {pair['fewest_rows']} rows, too few for a test."
        return f"{_capitalized(first)} and {second}: {few}"
    said = (
        f"{_capitalized(first)} and {second}: the modality explains "
        f"{percent(max(pair['effect_size'], 0))} of the differences between rows "
        f"(p\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{pair['p_value']:.3f})."
    )
    if pair["is_paired"]:
        return said + (
            f" {pair['n_shared_documents']} documents have both, and only these were compared, so "
            "a difference in subject is not the reason."
        )
    if not pair["should_correct"]:
        return said
    return said + (
        " Few documents have both: if the two modalities are about different subjects, a part of "
        "this is subject and not gap."
    )
