"""What it means that two numbers, columns or vocabularies agree."""

import numpy as np

RELATIVE = 1e-9
EPSILON = np.finfo(np.float64).eps


def number(saved):
    """A float of fitted.json; those that JSON has no number for are texts."""
    return float(saved)


def assert_numbers(found, expected, absolute, what):
    """Equal within 1e-9 relative, or within `absolute` where the expected value is next to nothing."""
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    assert found.shape == expected.shape, f"{what}: shape {found.shape} and {expected.shape}"
    missing = np.isnan(expected)
    wrong = np.isnan(found) != missing
    infinite = np.isinf(expected)
    wrong |= infinite & (found != expected)
    finite = ~missing & ~infinite
    with np.errstate(invalid="ignore"):
        wrong |= finite & ~(np.abs(found - expected) <= RELATIVE * np.abs(expected) + absolute)
    if wrong.any():
        first = np.argwhere(wrong)[0]
        at = tuple(first) if wrong.ndim else ()
        raise AssertionError(f"{what}: {wrong.sum()} of {wrong.size} differ; at {at} found {found[at]!r}, expected {expected[at]!r}")


def rounding(raw, result):
    """How much of a result is rounding: a few units of the last place of its own values, and of the raw values as
    far as the chain enlarges them."""
    raw = raw[np.isfinite(raw)]
    result = result[np.isfinite(result)]
    if result.size == 0:
        return 0.0
    own = 1e-12 * np.abs(result).max()
    if raw.size == 0:
        return own
    size = EPSILON * np.abs(raw).max()
    spread = raw.max() - raw.min()
    if spread == 0:
        # What a scaler makes of a constant column is its own rounding alone. NumPy adds up the columns of a matrix one
        # row after the other, so that its mean can be off by as many units as there are rows.
        return own + raw.size * size
    return own + 8 * size * (result.max() - result.min()) / spread
