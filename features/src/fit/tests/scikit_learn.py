"""Makes scikit_learn.json, the numbers `scikit_learn.rs` compares with.

    pip install 'scikit-learn==1.9.*' numpy pandas
    python scikit_learn.py

Combinations that scikit-learn itself refuses (infinite values, no column left) are left out.
"""

import json
import pathlib
import warnings

import numpy as np
import pandas as pd
from sklearn import __version__
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer, MaxAbsScaler, MinMaxScaler, OneHotEncoder, OrdinalEncoder, RobustScaler, StandardScaler,
)

warnings.filterwarnings("ignore")
rng = np.random.default_rng(5)
ROWS, TRAIN = 27, 18


def holes(x, part=0.2):
    x = x.astype(float).copy()
    x[rng.random(ROWS) < part] = np.nan
    return x


rows = np.arange(ROWS)
numbers = {
    "normal": holes(rng.normal(3, 2, ROWS)),
    "skew": holes(np.floor(np.exp(rng.normal(2, 1.5, ROWS)))),
    "full": rng.normal(-1, 0.5, ROWS),
    "constant": np.full(ROWS, 0.1),
    "constant_holes": holes(np.full(ROWS, 7.3)),
    "empty": np.full(ROWS, np.nan),
    "late": np.where(rows < TRAIN, np.nan, 1.5),
    "offset": 50 + rng.integers(0, 2, ROWS) * 0.3,
    "near_constant": 1e8 + rng.normal(0, 1e-9, ROWS),
    "tiny": rng.normal(0, 1e-17, ROWS),
    "two": rng.integers(0, 2, ROWS).astype(float),
    "ties": holes(rng.integers(-2, 3, ROWS)),
    "single": np.where(rows == 3, 2.5, np.nan),
    "huge": holes(rng.normal(0, 1e150, ROWS)),
    "positive": holes(np.abs(rng.normal(0, 9, ROWS))),
}
words = np.array(["b", "a", "c", "dd", "", "é"], dtype=object)[rng.integers(0, 6, ROWS)]
texts = {
    "words": np.where(rng.random(ROWS) < 0.25, None, words),
    "tie": np.where(rows % 2 == 0, "q", "p").astype(object),
    "no_text": np.full(ROWS, None, dtype=object),
}


def function(f):
    return FunctionTransformer(f, feature_names_out="one-to-one")


def tupled(key, options):
    return {name: tuple(value) if name == key else value for name, value in options.items()}


makers = {
    "log1p": lambda o: function(np.log1p),
    "sqrt": lambda o: function(np.sqrt),
    "abs": lambda o: function(np.abs),
    "clip": lambda o: function(lambda x: np.clip(x, o.get("min"), o.get("max"))),
    "simple_imputer": lambda o: SimpleImputer(**o),
    "standard_scaler": lambda o: StandardScaler(**o),
    "min_max_scaler": lambda o: MinMaxScaler(**tupled("feature_range", o)),
    "max_abs_scaler": lambda o: MaxAbsScaler(**o),
    "robust_scaler": lambda o: RobustScaler(**tupled("quantile_range", o)),
    "one_hot_encoder": lambda o: OneHotEncoder(sparse_output=False, **o),
    "ordinal_encoder": lambda o: OrdinalEncoder(**o),
}


def step(name):
    return lambda **options: {name: options}


impute, standard, min_max, max_abs, robust = map(
    step, ["simple_imputer", "standard_scaler", "min_max_scaler", "max_abs_scaler", "robust_scaler"]
)
indicate, keep = {"add_indicator": True}, {"keep_empty_features": True}
number_chains = [
    [impute(strategy=strategy, **extra)]
    for strategy in ("mean", "median", "most_frequent", "constant")
    for extra in ({}, indicate, keep, {**indicate, **keep})
] + [
    [impute(strategy="constant", fill_value=7.5)],
    [impute(strategy="constant", fill_value=7.5, **keep)],
    [standard()],
    [standard(with_mean=False)],
    [standard(with_std=False)],
    [standard(with_mean=False, with_std=False)],
    [min_max()],
    [min_max(feature_range=[-1, 3], clip=True)],
    [max_abs()],
    [max_abs(clip=True)],
    [robust()],
    [robust(unit_variance=True, quantile_range=[10, 90])],
    [robust(with_centering=False)],
    [robust(with_scaling=False)],
    [robust(with_centering=False, with_scaling=False)],
    [robust(quantile_range=[0, 100])],
    [robust(quantile_range=[33.3, 61])],
    [impute(), standard()],
    ["log1p", impute(), standard()],
    [{"clip": {"min": 0}}, "log1p", impute(strategy="mean"), standard()],
    [impute(strategy="mean", **indicate), standard()],
    [impute(strategy="median", **indicate), min_max()],
    [impute(strategy="most_frequent"), "sqrt", max_abs()],
    [impute(strategy="median"), {"clip": {"min": -1, "max": 4}}, "log1p", standard(with_mean=False)],
    [impute(strategy="constant", fill_value=2, **indicate), "sqrt", min_max(feature_range=[-1, 1])],
    [impute(strategy="mean", **indicate, **keep), "abs", "sqrt", standard()],
    [standard(), min_max()],
    [impute(), robust()],
    [impute(strategy="median"), "abs", robust(), max_abs()],
    ["abs", "sqrt", robust()],
    [robust(), impute(**indicate), standard(), min_max()],
    ["abs"],
    ["sqrt", impute(), impute(strategy="median")],
    [{"clip": {"max": 1}}, min_max()],
    [impute(**indicate), impute(strategy="most_frequent"), robust()],
]
one_hot = {"one_hot_encoder": {"handle_unknown": "ignore"}}
text_chains = [
    [impute(strategy="most_frequent")],
    [impute(strategy="constant", fill_value="none")],
    [impute(strategy="constant", **indicate)],
    [impute(strategy="most_frequent", **indicate)],
    [impute(strategy="most_frequent"), one_hot],
    [one_hot],
    [impute(strategy="constant"), "ordinal_encoder"],
    [one_hot, standard()],
    [impute(strategy="constant", **keep)],
]


def cell(value):
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return None
    return value if isinstance(value, str) else float(value)


def run(x, chain, imputer_options):
    frame = pd.DataFrame({"x": pd.Series(x, dtype=x.dtype)})
    steps = []
    for written in chain:
        ((name, options),) = [(written, {})] if isinstance(written, str) else written.items()
        steps.append(makers[name]({**options, **(imputer_options if name == "simple_imputer" else {})}))
    pipeline = make_pipeline(*steps).fit(frame.iloc[:TRAIN])
    out = np.asarray(pipeline.transform(frame))
    names = pipeline.get_feature_names_out(["x"]) if out.shape[1] else []
    return {name: [cell(value) for value in out[:, column]] for column, name in enumerate(names)}


cases = []


def add(column, x, chain, imputer_options={}):
    try:
        cases.append({"column": column, "steps": chain, "outputs": run(x, chain, imputer_options)})
    except ValueError as error:
        print("left out:", column, chain, str(error)[:80])


for column, x in numbers.items():
    for chain in number_chains:
        add(column, x, chain)
for column, x in texts.items():
    for chain in text_chains:
        add(column, x, chain, {"missing_values": None})
    # To the ordinal encoder only NaN is a missing value; None is one more category.
    add(column, np.where(pd.isna(x), np.nan, x), ["ordinal_encoder", standard()])

document = {
    "note": f"made by scikit-learn {__version__}",
    "train_rows": TRAIN,
    "numbers": {name: [cell(float(value)) for value in x] for name, x in numbers.items()},
    "texts": {name: list(x) for name, x in texts.items()},
    "cases": cases,
}
path = pathlib.Path(__file__).with_name("scikit_learn.json")
path.write_text(json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n")
print(__version__, len(cases), "cases")
