"""The public tables that Google's tests read, with invented rows of the same columns."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

SHAKESPEARE_ROWS = 164_656


def _write(root: Path, name: str, table: pa.Table) -> None:
    directory = root.joinpath(*name.split("."))
    directory.mkdir(parents=True)
    pq.write_table(table, directory / "0.parquet")


def write_public_tables(root: Path, project: str) -> None:
    """Writes every table below `root`; `project` is the one that holds the copy of the samples."""
    _write(
        root,
        "bigquery-public-data.usa_names.usa_1910_2013",
        pa.table(
            {
                "state": [f"S{i % 50:02}" for i in range(5_000)],
                "gender": ["F" if i % 2 else "M" for i in range(5_000)],
                "year": [1910 + i % 104 for i in range(5_000)],
                "name": [f"Name{i % 700}" for i in range(5_000)],
                "number": list(range(5_000)),
            }
        ),
    )
    _write(
        root,
        "bigquery-public-data.utility_us.country_code_iso",
        pa.table(
            {
                "country_name": [f"Country {i}" for i in range(278)],
                "fips_code": [f"{i:02}" if i % 9 else None for i in range(278)],
                "continent_code": ["EU" if i % 3 else "AS" for i in range(278)],
            }
        ),
    )
    _write(
        root,
        "bigquery-public-data.new_york_citibike.citibike_stations",
        pa.table(
            {
                "station_id": [str(i) for i in range(1_900)],
                "name": ["Central Park W" if i == 7 else f"Street {i} & Avenue {i % 12}" for i in range(1_900)],
                "latitude": [40.5 + i / 10_000 for i in range(1_900)],
                "longitude": [-74.0 + i / 10_000 for i in range(1_900)],
                "num_bikes_available": [i % 40 for i in range(1_900)],
                "is_renting": [i % 5 != 0 for i in range(1_900)],
            }
        ),
    )
    geography = {
        b"ARROW:extension:name": b"google:sqlType:geography",
        b"ARROW:extension:metadata": b'{"encoding": "WKT"}',
    }
    wide = [pa.field(f"column_{i}", pa.int64()) for i in range(40)]
    shape = pa.field("tract_geom", pa.string(), metadata=geography)
    rows = 3_000
    points = ", ".join(f"{i}.5 {i}.25" for i in range(200))
    _write(
        root,
        "bigquery-public-data.geo_census_tracts.us_census_tracts_national",
        pa.table(
            [list(range(rows))] * 40 + [[f"LINESTRING({i} {i}, {points})" for i in range(rows)]],
            schema=pa.schema([*wide, shape]),
        ),
    )
    _write(
        root,
        f"{project}.public_samples_copy.shakespeare",
        pa.table(
            {
                "word": [f"word{i}" for i in range(SHAKESPEARE_ROWS)],
                "word_count": [i % 900 for i in range(SHAKESPEARE_ROWS)],
                "corpus": [f"play{i % 42}" for i in range(SHAKESPEARE_ROWS)],
                "corpus_date": [1590 + i % 25 for i in range(SHAKESPEARE_ROWS)],
            },
        ),
    )
    _write(
        root,
        "bigquery-public-data.samples.shakespeare",
        pa.table(
            {
                "word": [f"word{i}" for i in range(SHAKESPEARE_ROWS)],
                "word_count": [i % 900 for i in range(SHAKESPEARE_ROWS)],
                "corpus": [f"play{i % 42}" for i in range(SHAKESPEARE_ROWS)],
                "corpus_date": [1590 + i % 30 for i in range(SHAKESPEARE_ROWS)],
            }
        ),
    )
    for name in ("publicdata.samples.wikipedia", "bigquery-public-data.samples.wikipedia"):
        _write(root, name, pa.table({"id": list(range(20_000)), "title": [f"Title {i}" for i in range(20_000)]}))
    years = {"year": [1930 + i % 90 for i in range(5_000)]}
    _write(root, "bigquery-public-data.samples.gsod", pa.table({**years, "wban_number": list(range(5_000))}))
    _write(root, "bigquery-public-data.samples.natality", pa.table({**years, "state": ["CA"] * 5_000}))
