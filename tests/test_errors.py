import re

import pytest

from tfcompress import errors
from tfcompress.cli.overview import overview


def classes_of(root: type[errors.TfcompressError]) -> list[type[errors.TfcompressError]]:
    """Return the public classes; a module may have finer ones for its own use, which keep their parent's exit code."""
    below = (found for child in root.__subclasses__() for found in classes_of(child))
    return [cls for cls in (root, *below) if cls.__module__ == errors.__name__]


def test_every_class_stands_in_the_drawn_tree_with_its_exit_code() -> None:
    drawn = dict(re.findall(r"(\w+Error)\s+(\d+)\s", errors.__doc__ or ""))
    assert drawn == {cls.__name__: str(cls.exit_code) for cls in classes_of(errors.TfcompressError)}


def test_sibling_classes_have_exit_codes_of_their_own() -> None:
    siblings = [cls for cls in classes_of(errors.TfcompressError) if cls.__base__ is errors.TfcompressError]
    codes = [cls.exit_code for cls in siblings]
    assert len(set(codes)) == len(codes)


def test_the_help_tells_every_exit_code() -> None:
    told = {int(code) for code in re.findall(r"\b(\d+) [a-z]", overview().partition("Exit codes:")[2])}
    assert told == {0, errors.INTERRUPTED, *(cls.exit_code for cls in classes_of(errors.TfcompressError))} - {1}


@pytest.mark.parametrize(("word", "hint"), [("exprot", " (did you mean 'export'?)"), ("zzz", "")])
def test_the_nearest_spelling_is_named_only_when_it_is_near(word: str, hint: str) -> None:
    assert errors.nearest(word, ["export", "inspect"]) == hint
