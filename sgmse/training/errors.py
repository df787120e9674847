"""What goes wrong before a training starts, in one line with the remedy."""

from importlib import import_module
from types import ModuleType

from sgmse.errors import RecipeError


def require(module: str) -> ModuleType:
    """Import a package that only training needs.

    Raises `RecipeError` with the command that installs it.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise RecipeError(
            f"training needs the package {error.name}; "
            "install it with: pip install 'sgmse-toolkit[train]'"
        ) from error
