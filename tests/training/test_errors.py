import math

import pytest

from sgmse.errors import RecipeError
from sgmse.training.errors import require


def test_a_package_that_is_there_is_imported():
    assert require("math") is math


def test_a_missing_package_says_how_to_get_it():
    with pytest.raises(
        RecipeError, match=r"no_such_package; .*pip install 'sgmse-toolkit\[train\]"
    ):
        require("no_such_package.part")
