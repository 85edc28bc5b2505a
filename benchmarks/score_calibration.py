"""With how many queries does posterior odds beat the removed gap, and is it true?

Prints every table, or those that are named.

usage: python benchmarks/score_calibration.py [teaching] [judged] [one_modality]
           [two_domains] [borrowed] [probability] [answered]
"""

import argparse

from answered import print_answered, print_probability
from borrowed_means import print_borrowed
from few_queries import print_judged, print_one_modality, print_teaching
from foreign_documents import print_two_domains
from joblib import parallel_config

TABLES = {
    "teaching": print_teaching,
    "judged": print_judged,
    "one_modality": print_one_modality,
    "two_domains": print_two_domains,
    "borrowed": print_borrowed,
    "probability": print_probability,
    "answered": print_answered,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tables", nargs="*", metavar="table", help=", ".join(TABLES))
    chosen = parser.parse_args().tables or list(TABLES)
    if unknown := set(chosen) - TABLES.keys():
        parser.error(f"no table {', '.join(sorted(unknown))}; there are {', '.join(TABLES)}")
    with parallel_config(n_jobs=2):
        for name in chosen:
            TABLES[name]()


if __name__ == "__main__":
    main()
