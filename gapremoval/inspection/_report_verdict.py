"""The verdict of a report, in sentences: correct, do not correct, or cannot tell."""

from ._report_words import number, percent

FEW_ROWS = 20  # of a modality, from which nothing follows


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
    pairs, said = facts["pairs"], None
    has_gap = any(pair["should_correct"] for pair in pairs)
    if not has_gap and facts["advised"] != "raw":
        advice = "correct"
        headline = "no gap between documents, but your queries are better off corrected"
        said = (
            f"Documents do not differ by their modality. Still, the queries with known answers are "
            f"ranked better by “{facts['advised']}”, and by more than chance explains."
        )
    elif not pairs:
        (name,) = facts["n_measured"]
        advice, headline = "do not correct", "all documents have one modality"
        said = (
            f"All documents are {name}. A modality gap puts documents of one modality before "
            "those of another, so there is nothing here that it could put in the wrong place."
        )
    elif has_gap:
        if facts["advised"] == "raw":
            advice = "do not correct"
            headline = "there is a modality gap, but your queries are better off with it"
        else:
            advice, headline = "correct", "there is a modality gap"
            said = (
                "Rows of one modality are closer to each other than what they are about explains. "
                "A search by plain cosine ranks by modality first, and by meaning second."
            )
    elif any(pair["fewest_rows"] < FEW_ROWS for pair in pairs):
        advice, headline = "cannot tell", "there are too few rows"
        said = f"Give at least {FEW_ROWS} rows of each modality, better some hundred."
    else:
        advice, headline = "do not correct", "there is no modality gap"
        said = (
            "Rows do not differ by their modality. A correction would have nothing to remove but "
            "noise."
        )
    summary = [said] if said else []
    return {
        "advice": advice,
        "headline": f"{advice.capitalize()}: {headline}",
        "summary": summary + _search_summary(facts["ranking"], advice, has_gap),
        "reasons": [_reason(pair) for pair in pairs] or summary,
    }


def _search_summary(ranking, advice, has_gap):
    """The modality that the raw search prefers, and the one whose answers it loses."""
    if ranking is None or advice != "correct" or not has_gap:
        return []
    raw, removed, best = ranking["ways"]
    of_corpus, said = ranking["share_of_corpus"], []
    preferred = max(of_corpus, key=lambda name: raw["share_of_top"][name] / of_corpus[name])
    said.append(
        f"{_capitalized(preferred)} documents make up {percent(of_corpus[preferred])} of the "
        f"corpus and {percent(raw['share_of_top'][preferred])} of the first {ranking['k']} results "
        f"({percent(best['share_of_top'][preferred])} after the recommended correction)."
    )
    found = {name: value for name, value in raw["ndcg"].items() if name != "several"}
    if found:
        lost = min(found, key=found.get)
        said.append(
            f"Where the right answer is one of the {lost} documents, NDCG@{ranking['k']} is "
            f"{number(found[lost])} (1 is best, 0 means never found), "
            f"{number(removed['ndcg'][lost])} once the gap is removed, and "
            f"{number(best['ndcg'][lost])} with the recommended search."
        )
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
