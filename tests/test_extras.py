import math

import pytest

from sgmse._extras import imported, require
from sgmse.errors import MissingPackageError


def test_a_package_that_is_there_is_imported():
    assert imported("math", "counting", "train") is math
    require("math", "counting", "train")


@pytest.mark.parametrize("get", [imported, require])
def test_a_missing_package_says_how_to_get_it(get):
    message = r"counting needs the package 'no_such_package': pip install 'sgmse-toolkit\[train\]'"
    with pytest.raises(MissingPackageError, match=message):
        get("no_such_package", "counting", "train")


def test_a_package_that_lacks_another_names_that_one(tmp_path, monkeypatch):
    (tmp_path / "lame_package.py").write_text("import no_such_package")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingPackageError, match="needs the package 'no_such_package'"):
        imported("lame_package", "counting", "train")
