"""The chains that are judged: each as Millpond's steps and as the scikit-learn pipeline that means the same.

Where the two differ on purpose the difference is written here: missing is null in Millpond and NaN (or None) in
scikit-learn.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    RobustScaler,
    StandardScaler,
)

import tables
from millpond_process import numbers, objects

NUMBER, CATEGORY, TEXT = "number", "category", "text"


@dataclass
class Case:
    """Columns, what Millpond does to them, what scikit-learn does to them, and how the latter is given the values."""

    name: str
    columns: list
    steps: list
    pipeline: list
    values: str = NUMBER
    learned: dict = field(default_factory=dict)

    @property
    def prefix(self):
        return f"{self.name}__"

    def feature_set(self):
        return {"columns": self.columns, "steps": self.steps, "prefix": self.prefix}

    def frame(self, table, column):
        """One column as scikit-learn would be given it."""
        return frame(table, column, self.values)

    def estimator(self):
        return Pipeline([(f"step{index}", make()) for index, make in enumerate(self.pipeline)])


def frame(table, column, values):
    raw = table[column]
    if values == NUMBER:
        return pd.DataFrame({column: numbers(raw)})
    if pa.types.is_floating(raw.type):
        array = raw.to_numpy()
        return pd.DataFrame({column: array.astype(np.float32 if raw.type == pa.float32() else np.float64)})
    # Pandas must not guess a type: None and NaN are different things to an encoder.
    return pd.DataFrame({column: objects(raw, None if values == CATEGORY else np.nan)}, dtype=object)


def function(f):
    return lambda: FunctionTransformer(f, feature_names_out="one-to-one")


def log1p():
    return function(np.log1p)


def sqrt():
    return function(np.sqrt)


def absolute():
    return function(np.abs)


def clip(low, high):
    return function(lambda x: np.clip(x, low, high))


def impute(**options):
    return lambda: SimpleImputer(**options)


def standard(**options):
    return lambda: StandardScaler(**options)


def min_max(**options):
    return lambda: MinMaxScaler(**options)


def max_abs(**options):
    return lambda: MaxAbsScaler(**options)


def robust(**options):
    return lambda: RobustScaler(**options)


def one_hot(**options):
    return lambda: OneHotEncoder(sparse_output=False, dtype=np.uint8, **options)


def ordinal(**options):
    return lambda: OrdinalEncoder(**options)


ALL = tables.NUMBERS
# log1p of exactly -1 is -inf, which no later step may learn from; that has a test of its own.
ABOVE_MINUS_ONE = ["f_skewed", "f_two", "f_zero", "f_small", "f_constant", "i_unsigned", "i_constant", "b_flag"]

NUMERIC_CASES = [
    Case("as_is", ALL, [], []),
    Case("mean", ALL, [{"simple_imputer": "mean"}], [impute()]),
    Case("median", ALL, [{"simple_imputer": "median"}], [impute(strategy="median")]),
    Case("frequent", ALL, [{"simple_imputer": "most_frequent"}], [impute(strategy="most_frequent")]),
    Case("constant", ALL, [{"simple_imputer": {"strategy": "constant", "fill_value": -7.5}}], [impute(strategy="constant", fill_value=-7.5)]),
    Case("constant_zero", ALL, [{"simple_imputer": "constant"}], [impute(strategy="constant")]),
    Case("indicator", ALL, [{"simple_imputer": {"strategy": "median", "add_indicator": True}}], [impute(strategy="median", add_indicator=True)]),
    Case("standard", ALL, ["standard_scaler"], [standard()]),
    Case("standard_no_mean", ALL, [{"standard_scaler": {"with_mean": False}}], [standard(with_mean=False)]),
    Case("standard_no_std", ALL, [{"standard_scaler": {"with_std": False}}], [standard(with_std=False)]),
    Case("standard_neither", ALL, [{"standard_scaler": {"with_mean": False, "with_std": False}}], [standard(with_mean=False, with_std=False)]),
    Case("min_max", ALL, ["min_max_scaler"], [min_max()]),
    Case("min_max_range", ALL, [{"min_max_scaler": {"feature_range": [-3, 5]}}], [min_max(feature_range=(-3, 5))]),
    Case("min_max_clip", ALL, [{"min_max_scaler": {"clip": True}}], [min_max(clip=True)]),
    Case("max_abs", ALL, ["max_abs_scaler"], [max_abs()]),
    Case("max_abs_clip", ALL, [{"max_abs_scaler": {"clip": True}}], [max_abs(clip=True)]),
    Case("robust", ALL, ["robust_scaler"], [robust()]),
    Case("robust_no_center", ALL, [{"robust_scaler": {"with_centering": False}}], [robust(with_centering=False)]),
    Case("robust_no_scale", ALL, [{"robust_scaler": {"with_scaling": False}}], [robust(with_scaling=False)]),
    Case("robust_wide", ALL, [{"robust_scaler": {"quantile_range": [5, 97.5]}}], [robust(quantile_range=(5, 97.5))]),
    Case("robust_unit", ALL, [{"robust_scaler": {"unit_variance": True}}], [robust(unit_variance=True)]),
    Case("robust_unit_wide", ALL, [{"robust_scaler": {"unit_variance": True, "quantile_range": [10, 80]}}], [robust(unit_variance=True, quantile_range=(10, 80))]),
    Case("log1p", ALL, ["log1p"], [log1p()]),
    Case("sqrt", ALL, ["sqrt"], [sqrt()]),
    Case("abs", ALL, ["abs"], [absolute()]),
    Case("clip_low", ALL, [{"clip": {"min": 0}}], [clip(0, None)]),
    Case("clip_high", ALL, [{"clip": {"max": 1.5}}], [clip(None, 1.5)]),
    Case("clip_both", ALL, [{"clip": {"min": -1, "max": 20}}], [clip(-1, 20)]),
    # Chains. What can be folded into one pass and what cannot must come out the same.
    Case("log_mean_standard", ABOVE_MINUS_ONE, ["log1p", {"simple_imputer": "mean"}, "standard_scaler"], [log1p(), impute(), standard()]),
    Case("clip_log_mean_standard", ALL, [{"clip": {"min": 0}}, "log1p", {"simple_imputer": "mean"}, "standard_scaler"], [clip(0, None), log1p(), impute(), standard()]),
    Case("constant_min_max", ALL, [{"simple_imputer": {"strategy": "constant", "fill_value": 99.5}}, "min_max_scaler"], [impute(strategy="constant", fill_value=99.5), min_max()]),
    Case("constant_standard", ALL, [{"simple_imputer": {"strategy": "constant", "fill_value": -1000}}, "standard_scaler"], [impute(strategy="constant", fill_value=-1000), standard()]),
    Case("constant_log_standard", ABOVE_MINUS_ONE, [{"simple_imputer": {"strategy": "constant", "fill_value": 3}}, "log1p", "standard_scaler"], [impute(strategy="constant", fill_value=3), log1p(), standard()]),
    Case("mean_max_abs", ALL, [{"simple_imputer": "mean"}, "max_abs_scaler"], [impute(), max_abs()]),
    Case("mean_min_max", ALL, [{"simple_imputer": "mean"}, {"min_max_scaler": {"feature_range": [1, 2]}}], [impute(), min_max(feature_range=(1, 2))]),
    Case("median_robust", ALL, [{"simple_imputer": "median"}, "robust_scaler"], [impute(strategy="median"), robust()]),
    Case("median_standard", ALL, [{"simple_imputer": "median"}, "standard_scaler"], [impute(strategy="median"), standard()]),
    Case("frequent_standard", ALL, [{"simple_imputer": "most_frequent"}, "standard_scaler"], [impute(strategy="most_frequent"), standard()]),
    Case("indicator_standard", ALL, [{"simple_imputer": {"strategy": "mean", "add_indicator": True}}, "standard_scaler"], [impute(add_indicator=True), standard()]),
    Case("indicator_min_max", ALL, [{"simple_imputer": {"strategy": "constant", "fill_value": 5, "add_indicator": True}}, "min_max_scaler"], [impute(strategy="constant", fill_value=5, add_indicator=True), min_max()]),
    Case("standard_min_max", ALL, ["standard_scaler", "min_max_scaler"], [standard(), min_max()]),
    Case("robust_standard", ALL, ["robust_scaler", "standard_scaler"], [robust(), standard()]),
    Case("min_max_constant", ALL, ["min_max_scaler", {"simple_imputer": {"strategy": "constant", "fill_value": 0.5}}], [min_max(), impute(strategy="constant", fill_value=0.5)]),
    Case("abs_sqrt_robust_unit", ALL, ["abs", "sqrt", {"robust_scaler": {"unit_variance": True}}], [absolute(), sqrt(), robust(unit_variance=True)]),
    Case("mean_then_mean", ALL, [{"simple_imputer": "mean"}, {"simple_imputer": "median"}, "standard_scaler"], [impute(), impute(strategy="median"), standard()]),
    Case("sql_standard", ["f_normal", "f_skewed"], [{"sql": "x * x + 1"}, {"simple_imputer": "mean"}, "standard_scaler"], [function(lambda x: x * x + 1), impute(), standard()]),
    Case("max_abs_one_hot", ["i_constant", "f_two", "b_flag"], ["max_abs_scaler", {"one_hot_encoder": {"handle_unknown": "ignore"}}], [max_abs(), one_hot(handle_unknown="ignore")]),
    Case("mean_one_hot", ["f_two", "i_constant", "b_flag"], [{"simple_imputer": "most_frequent"}, "one_hot_encoder"], [impute(strategy="most_frequent"), one_hot()]),
]

# All of their values occur in training, whatever the seed.
COMPLETE = ["s_few", "s_holes", "s_constant", "s_odd", "s_coded", "b_flag", "b_constant", "i_constant", "f_two"]
CATEGORIES = [*COMPLETE, "s_tail", "i_small", "i_byte", "f_rounded", "f_single"]
TAILS = ["s_tail", "s_odd", "s_holes", "i_small", "i_byte", "f_rounded", "b_flag", "s_constant"]


def encoder(name, **options):
    return [{name: options}]


ONE_HOT_CASES = [
    Case("hot", COMPLETE, ["one_hot_encoder"], [one_hot()], CATEGORY),
    Case("hot_ignore", CATEGORIES, encoder("one_hot_encoder", handle_unknown="ignore"), [one_hot(handle_unknown="ignore")], CATEGORY),
    Case("hot_if_exist", TAILS, encoder("one_hot_encoder", handle_unknown="infrequent_if_exist"), [one_hot(handle_unknown="infrequent_if_exist")], CATEGORY),
    Case("hot_min", TAILS, encoder("one_hot_encoder", handle_unknown="infrequent_if_exist", min_frequency=25), [one_hot(handle_unknown="infrequent_if_exist", min_frequency=25)], CATEGORY),
    Case("hot_min_share", TAILS, encoder("one_hot_encoder", handle_unknown="ignore", min_frequency=0.02), [one_hot(handle_unknown="ignore", min_frequency=0.02)], CATEGORY),
    Case("hot_min_high", TAILS, encoder("one_hot_encoder", handle_unknown="infrequent_if_exist", min_frequency=1_000_000), [one_hot(handle_unknown="infrequent_if_exist", min_frequency=1_000_000)], CATEGORY),
    Case("hot_max", TAILS, encoder("one_hot_encoder", handle_unknown="infrequent_if_exist", max_categories=4), [one_hot(handle_unknown="infrequent_if_exist", max_categories=4)], CATEGORY),
    Case("hot_max_one", TAILS, encoder("one_hot_encoder", handle_unknown="infrequent_if_exist", max_categories=1), [one_hot(handle_unknown="infrequent_if_exist", max_categories=1)], CATEGORY),
    Case("hot_min_max", TAILS, encoder("one_hot_encoder", handle_unknown="infrequent_if_exist", min_frequency=15, max_categories=6), [one_hot(handle_unknown="infrequent_if_exist", min_frequency=15, max_categories=6)], CATEGORY),
    Case("hot_first", COMPLETE, encoder("one_hot_encoder", drop="first"), [one_hot(drop="first")], CATEGORY),
    Case("hot_binary", COMPLETE, encoder("one_hot_encoder", drop="if_binary"), [one_hot(drop="if_binary")], CATEGORY),
    Case("hot_first_ignore", TAILS, encoder("one_hot_encoder", drop="first", handle_unknown="ignore"), [one_hot(drop="first", handle_unknown="ignore")], CATEGORY),
    Case("hot_first_rare", TAILS, encoder("one_hot_encoder", drop="first", handle_unknown="infrequent_if_exist", min_frequency=40), [one_hot(drop="first", handle_unknown="infrequent_if_exist", min_frequency=40)], CATEGORY),
    Case("hot_binary_rare", TAILS, encoder("one_hot_encoder", drop="if_binary", handle_unknown="infrequent_if_exist", max_categories=2), [one_hot(drop="if_binary", handle_unknown="infrequent_if_exist", max_categories=2)], CATEGORY),
    Case("hot_filled", ["s_holes", "s_odd", "s_coded"], [{"simple_imputer": "most_frequent"}, "one_hot_encoder"], [impute(strategy="most_frequent"), one_hot()], TEXT),
    Case("hot_filled_constant", ["s_holes", "s_coded"], [{"simple_imputer": "constant"}, "one_hot_encoder"], [impute(strategy="constant"), one_hot()], TEXT),
    Case("hot_filled_by", ["s_holes", "s_few"], [{"simple_imputer": {"strategy": "constant", "fill_value": "?"}}, "one_hot_encoder"], [impute(strategy="constant", fill_value="?"), one_hot()], TEXT),
]

unknown = {"handle_unknown": "use_encoded_value", "unknown_value": -1}
ORDINAL_CASES = [
    Case("ord", COMPLETE, ["ordinal_encoder"], [ordinal()], TEXT),
    Case("ord_unknown", CATEGORIES, encoder("ordinal_encoder", **unknown), [ordinal(**unknown)], TEXT),
    Case("ord_unknown_far", TAILS, encoder("ordinal_encoder", handle_unknown="use_encoded_value", unknown_value=-900), [ordinal(handle_unknown="use_encoded_value", unknown_value=-900)], TEXT),
    Case("ord_min", TAILS, encoder("ordinal_encoder", min_frequency=25, **unknown), [ordinal(min_frequency=25, **unknown)], TEXT),
    Case("ord_min_share", TAILS, encoder("ordinal_encoder", min_frequency=0.015, **unknown), [ordinal(min_frequency=0.015, **unknown)], TEXT),
    Case("ord_max", TAILS, encoder("ordinal_encoder", max_categories=3, **unknown), [ordinal(max_categories=3, **unknown)], TEXT),
    Case("ord_min_max", TAILS, encoder("ordinal_encoder", min_frequency=10, max_categories=12, **unknown), [ordinal(min_frequency=10, max_categories=12, **unknown)], TEXT),
    Case("ord_missing", [c for c in COMPLETE if c != "f_two"], encoder("ordinal_encoder", missing={"encoded": -3}), [ordinal(encoded_missing_value=-3)], TEXT),
    Case("ord_missing_rare", TAILS, encoder("ordinal_encoder", missing={"encoded": -3}, min_frequency=25, **unknown), [ordinal(encoded_missing_value=-3, min_frequency=25, **unknown)], TEXT),
    Case("ord_filled", ["s_holes", "s_coded"], [{"simple_imputer": "most_frequent"}, "ordinal_encoder"], [impute(strategy="most_frequent"), ordinal()], TEXT),
]

CASES = NUMERIC_CASES + ONE_HOT_CASES + ORDINAL_CASES

# Attributes of fitted estimators that are compared as numbers, by the name of the step.
LEARNED: dict[str, Any] = {
    "simple_imputer": ["statistics_"],
    "standard_scaler": ["mean_", "var_", "scale_"],
    "min_max_scaler": ["data_min_", "data_max_", "data_range_", "scale_", "min_"],
    "max_abs_scaler": ["max_abs_", "scale_"],
    "robust_scaler": ["center_", "scale_"],
}
