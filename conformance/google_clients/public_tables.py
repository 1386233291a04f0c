"""The public tables that Google's tests read, with invented rows of the same columns."""

import datetime
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

SHAKESPEARE_ROWS = 164_656


def _write(root: Path, name: str, table: pa.Table) -> None:
    directory = root.joinpath(*name.split("."))
    directory.mkdir(parents=True)
    pq.write_table(table, directory / "0.parquet")


def _describe(root: Path, name: str, **resource) -> None:
    """What a table is beside its files, as the emulator keeps it."""
    directory = root.joinpath(*name.split("."))
    directory.mkdir(parents=True, exist_ok=True)
    schema = resource.pop("schema", [])
    about = {"schema": schema, "createdUs": 1, "modifiedUs": 1, "resource": resource}
    (directory / "table.json").write_text(json.dumps(about))


def _stories(count: int) -> pa.Table:
    """Stories of a forum, of which the first three are as everybody knows them."""
    start = datetime.datetime(2006, 10, 9, 18, 21, 51, tzinfo=datetime.timezone.utc)
    seconds = [0, 517, 1_122] + [1_200 + 60 * i for i in range(count - 3)]
    return pa.table(
        {
            "id": list(range(1, count + 1)),
            "by": ["pg", "phyllis", "phyllis"] + [f"user{i % 999}" if i % 7 else None for i in range(count - 3)],
            "timestamp": pa.array(
                [start + datetime.timedelta(seconds=s) for s in seconds], pa.timestamp("us", tz="UTC")
            ),
            "dead": [None if i % 3 else True for i in range(count)],
        }
    )


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
        _write(root, name, pa.table({"id": list(range(210_000)), "title": [f"Title {i}" for i in range(210_000)]}))
    years = {"year": [1930 + i % 90 for i in range(5_000)]}
    _write(root, "bigquery-public-data.samples.gsod", pa.table({**years, "wban_number": list(range(5_000))}))
    births = {"source_year": years["year"], "is_male": [i % 2 == 0 for i in range(5_000)], "state": ["CA"] * 5_000}
    _write(root, "bigquery-public-data.samples.natality", pa.table({**years, **births}))
    _write(root, "bigquery-public-data.hacker_news.full", _stories(120_000))
    _write(
        root,
        "bigquery-public-data.stackoverflow.posts_questions",
        pa.table(
            {
                "id": list(range(400)),
                "view_count": [i * 37 % 1_001 for i in range(400)],
                "tags": ["python|google-bigquery" if i % 4 == 0 else "python" for i in range(400)],
            }
        ),
    )
    _write(
        root,
        "bigquery-public-data.ml_datasets.penguins",
        pa.table(
            {
                "species": [f"Species {i % 3}" for i in range(344)],
                "body_mass_g": [3_000.0 + i if i % 50 else None for i in range(344)],
                "sex": ["MALE" if i % 2 else "FEMALE" for i in range(344)],
            }
        ),
    )
    trips = 400_000
    _write(
        root,
        "bigquery-public-data.chicago_taxi_trips.taxi_trips",
        pa.table(
            {
                "unique_key": [f"{i:040x}" for i in range(trips)],
                **{f"number_{column}": [i * 0.25 + column for i in range(trips)] for column in range(6)},
            }
        ),
    )
    blocks = "bigquery-public-data.ethereum_blockchain.blocks"
    first = datetime.datetime(2016, 1, 1, tzinfo=datetime.timezone.utc)
    _write(
        root,
        blocks,
        pa.table(
            {
                "timestamp": pa.array(
                    [first + datetime.timedelta(days=i) for i in range(1_200)], pa.timestamp("us", tz="UTC")
                ),
                "number": list(range(1_200)),
            }
        ),
    )
    _describe(root, blocks, timePartitioning={"type": "DAY", "field": "timestamp"})
    _describe(
        root,
        "bigquery-public-data.ethereum_blockchain.live_contracts",
        schema=[
            {"name": "number", "type": "INTEGER", "mode": "NULLABLE"},
            {"name": "day", "type": "DATE", "mode": "NULLABLE"},
        ],
        view={"query": f"SELECT number, DATE(timestamp) AS day FROM `{blocks}`", "useLegacySql": False},
    )
