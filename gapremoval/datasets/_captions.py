"""load_ordinary_captions: what people ask of their photos, where nobody has asked yet."""

# Short, as questions are, and about all that people photograph: their mean counts, not each.
ORDINARY_CAPTIONS = """
a dog in the snow
people at a table
the sea at sunset
a red car
children playing in a park
a bowl of food
mountains and a lake
a cat on a sofa
a crowd at a concert
flowers in a garden
a street at night
a man with a bicycle
a woman who smiles
an old house
a plane in the sky
a page with writing
a birthday cake with candles
a boat on a river
a train at a station
a group of friends at the beach
a bird on a branch
a screenshot of a website
a kitchen with a window
a football match
a cup of coffee on a desk
a bridge over water
a baby asleep
a horse in a field
a wedding
a forest in autumn
a shelf full of books
a map of a city
""".strip().splitlines()


def load_ordinary_captions():
    """Short captions of ordinary photos, to stand in for questions.

    Questions have a mean of their own, which `ModalityGapRemover` wants to know. A corpus
    of images alone, to which nobody has put a question yet, has no text to take it from:
    encode these and give them as query rows with relevance None.

    Returns
    -------
    list of str
        32 captions.

    See Also
    --------
    gapremoval.Query : Marks them as queries.

    Examples
    --------
    >>> from gapremoval.datasets import load_ordinary_captions
    >>> load_ordinary_captions()[:3]
    ['a dog in the snow', 'people at a table', 'the sea at sunset']
    """
    return list(ORDINARY_CAPTIONS)
