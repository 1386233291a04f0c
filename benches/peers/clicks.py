"""The job of examples/clicks.yaml in DuckDB, Polars and scikit-learn, each as its own users would write it.

    python3 benches/peers/clicks.py duckdb|polars|sklearn FOLDER_OF_PARQUET OUT

An 80/10/10 split by a hash of row_id, everything learned from training rows alone. i1 to i13: negative marks become 0, log1p, missing
becomes the training mean, variance 1, float32. c1 to c26: missing is a category, those seen fewer than 10 times share id 0, the
others get ids by falling frequency. row_id and label pass through. Parquet with zstd level 1 in OUT.

Hash and ids of equally frequent categories are each peer's own, so outputs are alike and not equal; nothing is compared but time and
memory. MEMORY_LIMIT (for example 1GB) limits DuckDB, which has no limit otherwise.
"""

import os
import pathlib
import sys

COUNTS = [f"i{n}" for n in range(1, 14)]
CATEGORIES = [f"c{n}" for n in range(1, 27)]
LEAST = 10


def duckdb(source, out):
    """One view, one table of moments, one table of ids per category column, one COPY."""
    import duckdb

    database = duckdb.connect(str(out / "work.duckdb"))
    if limit := os.environ.get("MEMORY_LIMIT"):
        database.sql(f"SET memory_limit = '{limit}'")
    # Millpond keeps the order of rows; DuckDB is faster when it need not.
    database.sql("SET preserve_insertion_order = false")
    rows = ["row_id", "label", "hash(row_id) % 10 AS tenth"]
    rows += [f"ln(1 + greatest({c}, 0)::DOUBLE) AS {c}" for c in COUNTS]
    rows += [f"coalesce({c}, '<missing>') AS {c}" for c in CATEGORIES]
    database.sql(f"CREATE VIEW clicks AS SELECT {', '.join(rows)} FROM read_parquet('{source}/*.parquet')")
    moments = [f"avg({c}) AS mean_{c}, sqrt(var_pop({c}) * count({c}) / count(*)) AS deviation_{c}" for c in COUNTS]
    database.sql(f"CREATE TABLE moments AS SELECT {', '.join(moments)} FROM clicks WHERE tenth < 8")
    for c in CATEGORIES:
        database.sql(
            f"CREATE TABLE ids_{c} AS SELECT {c}, row_number() OVER (ORDER BY count(*) DESC)::INTEGER AS id "
            f"FROM clicks WHERE tenth < 8 GROUP BY {c} HAVING count(*) >= {LEAST}"
        )
    features = [f"((coalesce(clicks.{c}, mean_{c}) - mean_{c}) / deviation_{c})::FLOAT AS {c}" for c in COUNTS]
    features += [f"coalesce(ids_{c}.id, 0) AS {c}" for c in CATEGORIES]
    joins = "".join(f" LEFT JOIN ids_{c} ON ids_{c}.{c} = clicks.{c}" for c in CATEGORIES)
    split = "CASE WHEN tenth < 8 THEN 'train' WHEN tenth < 9 THEN 'val' ELSE 'test' END AS split"
    database.sql(
        f"COPY (SELECT row_id, label, {', '.join(features)}, {split} FROM clicks CROSS JOIN moments{joins}) "
        f"TO '{out}/splits' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, PARTITION_BY (split))"
    )


def polars_frame(rows, out):
    """The job on a lazy frame; the streaming engine throughout."""
    import polars as pl

    rows = rows.with_columns(
        (pl.col("row_id").hash(seed=1) % 10).alias("tenth"),
        *(pl.col(c).clip(lower_bound=0).cast(pl.Float64).log1p() for c in COUNTS),
        *(pl.col(c).fill_null("<missing>") for c in CATEGORIES),
    )
    train = rows.filter(pl.col("tenth") < 8)
    moments = train.select(
        *(pl.col(c).mean().name.prefix("mean_") for c in COUNTS),
        # Filling with the mean leaves the sum of squares and makes the rows more.
        *((pl.col(c).var(ddof=0) * pl.col(c).count() / pl.len()).sqrt().name.prefix("deviation_") for c in COUNTS),
    )
    frequencies = [
        train.group_by(c).len().filter(pl.col("len") >= LEAST).sort("len", descending=True).select(c, pl.row_index("id") + 1)
        for c in CATEGORIES
    ]
    learned, *ids = pl.collect_all([moments, *frequencies], engine="streaming")
    for c, table in zip(CATEGORIES, ids):
        table = table.lazy().select(c, pl.col("id").cast(pl.Int32).alias(f"id_{c}"))
        rows = rows.join(table, on=c, how="left", maintain_order="none")
    learned = learned.row(0, named=True)
    rows = rows.select(
        "row_id",
        "label",
        "tenth",
        *(((pl.col(c).fill_null(learned[f"mean_{c}"]) - learned[f"mean_{c}"]) / learned[f"deviation_{c}"]).cast(pl.Float32) for c in COUNTS),
        *(pl.col(f"id_{c}").fill_null(0).alias(c) for c in CATEGORIES),
    )
    writes = []
    tenth = pl.col("tenth")
    for split, is_in in {"train": tenth < 8, "val": tenth == 8, "test": tenth == 9}.items():
        (out / split).mkdir()
        part = rows.filter(is_in).drop("tenth")
        writes.append(part.sink_parquet(out / split / "0.parquet", compression="zstd", compression_level=1, lazy=True))
    pl.collect_all(writes, engine="streaming")


def polars(source, out):
    import polars as pl

    polars_frame(pl.scan_parquet(f"{source}/*.parquet"), out)


def sklearn(source, out):
    """Everything in memory, as pandas gives it."""
    import numpy as np
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder, StandardScaler

    table = pd.read_parquet(source)
    tenth = (pd.util.hash_pandas_object(table["row_id"], index=False) % 10).to_numpy()
    counts = make_pipeline(FunctionTransformer(lambda x: np.log1p(np.maximum(x, 0))), SimpleImputer(), StandardScaler())
    encoder = OrdinalEncoder(min_frequency=LEAST, handle_unknown="use_encoded_value", unknown_value=-1, dtype=np.int32)
    categories = make_pipeline(FunctionTransformer(lambda x: x.fillna("<missing>")), encoder)
    both = ColumnTransformer([("counts", counts, COUNTS), ("categories", categories, CATEGORIES)])
    both.fit(table[tenth < 8])
    for split, rows in {"train": tenth < 8, "val": tenth == 8, "test": tenth == 9}.items():
        part = table[rows]
        values = both.transform(part)
        written = pd.DataFrame(values[:, : len(COUNTS)].astype(np.float32), columns=COUNTS)
        for place, c in enumerate(CATEGORIES, len(COUNTS)):
            written[c] = values[:, place].astype(np.int32)
        written["row_id"], written["label"] = part["row_id"].to_numpy(), part["label"].to_numpy()
        (out / split).mkdir()
        written.to_parquet(out / split / "0.parquet", compression="zstd", compression_level=1)


if __name__ == "__main__":
    peer, source, out = sys.argv[1:]
    out = pathlib.Path(out)
    out.mkdir(parents=True)
    {"duckdb": duckdb, "polars": polars, "sklearn": sklearn}[peer](source, out)
