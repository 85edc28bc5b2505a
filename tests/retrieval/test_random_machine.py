"""Random things are done to an index, which must always be what plain numpy says."""

import pytest
from random_machine import RandomMachine
from threaded_machine import ThreadedMachine

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
calibrated = pytest.mark.parametrize("calibrated", [False, True])


@calibrated
@pytest.mark.parametrize(("ids", "seed"), [("int", 0), ("str", 1)])
def test_whatever_is_done_the_index_is_what_numpy_says(calibrated, ids, seed, tmp_path):
    RandomMachine(seed, calibrated, ids, tmp_path).run(120)


@calibrated
def test_whatever_several_threads_do_each_answer_is_right(calibrated):
    ThreadedMachine(2, calibrated, "str").run(300, timeout=60)
