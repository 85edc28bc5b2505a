"""load_ordinary_captions: typical questions for a photo search, before anybody has asked one."""

# Short like questions, about what people photograph most: only their mean matters.
ORDINARY_CAPTIONS = """
a dog in the snow, people at a table, the sea at sunset, a red car, children playing in a park,
a bowl of food, mountains and a lake, a cat on a sofa, a crowd at a concert, flowers in a garden,
a street at night, a man with a bicycle, a woman who smiles, an old house, a plane in the sky,
a page with writing, a birthday cake with candles, a boat on a river, a train at a station,
a group of friends at the beach, a bird on a branch, a screenshot of a website,
a kitchen with a window, a football match, a cup of coffee on a desk, a bridge over water,
a baby asleep, a horse in a field, a wedding, a forest in autumn, a shelf full of books,
a map of a city
"""


def load_ordinary_captions():
    """Load short captions of ordinary photos, which can take the place of real questions.

    `ModalityGapRemover` centers questions on a mean of their own. For a corpus of images alone,
    which nobody has asked anything yet, there is no text to take that mean from: encode these
    captions and fit them as query rows with relevance None.

    Returns
    -------
    captions : list of str
        32 captions in English.

    See Also
    --------
    gapremoval.Query : Marks the captions as queries.

    Examples
    --------
    >>> from gapremoval.datasets import load_ordinary_captions
    >>> load_ordinary_captions()[:3]
    ['a dog in the snow', 'people at a table', 'the sea at sunset']
    """
    return ORDINARY_CAPTIONS.strip().replace(",\n", ", ").split(", ")
