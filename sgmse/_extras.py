"""Packages that only an extra installs: imported when needed, or an error with the remedy."""

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from sgmse.errors import MissingPackageError


def imported(module: str, what: str, extra: str) -> ModuleType:
    """Import what `what` needs and the extra installs. Raises `MissingPackageError`."""
    try:
        return import_module(module)
    except ImportError as error:
        raise missing(error.name or module, what, extra) from error


def require(package: str, what: str, extra: str) -> None:
    """The same without importing it, which may take long. Raises `MissingPackageError`."""
    if find_spec(package) is None:
        raise missing(package, what, extra)


def missing(package: str, what: str, extra: str) -> MissingPackageError:
    """The error of a package that is not there."""
    return MissingPackageError(
        f"{what} needs the package {package!r}: pip install 'sgmse-toolkit[{extra}]'"
    )
