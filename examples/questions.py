"""Ordinary questions: they teach what questions look like where a folder holds no texts."""

QUESTIONS = [
    "a dog in the snow",
    "people at a table",
    "the sea at sunset",
    "a red car",
    "children playing in a park",
    "a bowl of food",
    "mountains and a lake",
    "a cat on a sofa",
    "a crowd at a concert",
    "flowers in a garden",
    "a street at night",
    "a man with a bicycle",
    "a woman who smiles",
    "an old house",
    "a plane in the sky",
    "a page with writing",
]
