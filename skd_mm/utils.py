"""Small helpers that several rooms share."""

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, choices: Iterable[str], count: int = 3) -> str:
    """The end of an error message that names what a misspelt name may have meant.

    Args:
        name: The name that was not found.
        choices: The names that exist.
        count: How many suggestions at most.

    Returns:
        ``"; did you mean 'a', 'b' or 'c'?"``, or an empty string where nothing is close.
    """
    close = difflib.get_close_matches(str(name), [str(choice) for choice in choices], n=count, cutoff=0.5)
    if not close:
        return ''
    quoted = [repr(match) for match in close]
    return f"; did you mean {' or '.join(filter(None, [', '.join(quoted[:-1]), quoted[-1]]))}?"
