//! Places: read as well-known text, well-known binary or GeoJSON, written as the one text that BigQuery sends.
//!
//! Edges, orientation and order stay as they are given; what is computed of points is below. Must not know about columns or files.

use std::fmt;

use serde_json::Value;

mod measures;

pub(crate) use measures::{Place, distance};

/// Collections in collections, so many of them.
const MAX_DEPTH: usize = 16;

/// Longitude and latitude in degrees.
type Point = (f64, f64);

#[derive(Debug, Clone, PartialEq)]
enum Shape {
    Point(Point),
    Line(Vec<Point>),
    Polygon(Vec<Vec<Point>>),
    Points(Vec<Point>),
    Lines(Vec<Vec<Point>>),
    Polygons(Vec<Vec<Vec<Point>>>),
    Collection(Vec<Shape>),
}

/// Well-known text, GeoJSON, or well-known binary in hexadecimal, in BigQuery's form.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn from_text(text: &str) -> Result<String, String> {
    let trimmed = text.trim();
    let hex = trimmed.len() >= 10
        && trimmed.len().is_multiple_of(2)
        && trimmed.bytes().all(|b| b.is_ascii_hexdigit());
    let shape = if trimmed.starts_with('{') {
        serde_json::from_str(trimmed)
            .ok()
            .and_then(|json| of_json(&json, 0))
    } else if hex {
        let digits = trimmed.as_bytes().chunks_exact(2);
        let bytes: Option<Vec<u8>> = digits
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
            .collect();
        bytes.and_then(|bytes| Binary { rest: &bytes }.whole())
    } else {
        Text { rest: trimmed }.whole()
    };
    let shape = shape.ok_or_else(|| {
        let shown: String = trimmed.chars().take(60).collect();
        format!("Invalid geography value: {shown:?}")
    })?;
    checked(&shape)?;
    Ok(shape.to_string())
}

/// Well-known binary in BigQuery's form of text.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn from_binary(bytes: &[u8]) -> Result<String, String> {
    let shape = Binary { rest: bytes }.whole();
    let shape = shape.ok_or_else(|| {
        format!(
            "Invalid geography value: {} bytes that are no WKB",
            bytes.len()
        )
    })?;
    checked(&shape)?;
    Ok(shape.to_string())
}

fn checked(shape: &Shape) -> Result<(), String> {
    let point = |(longitude, latitude): &Point| {
        if !longitude.is_finite() || !latitude.is_finite() || latitude.abs() > 90.0 {
            return Err(format!(
                "Latitude must be between -90 and 90 degrees, and both must be numbers: {longitude} {latitude}"
            ));
        }
        Ok(())
    };
    match shape {
        Shape::Point(one) => point(one),
        Shape::Line(points) | Shape::Points(points) => points.iter().try_for_each(point),
        Shape::Polygon(lines) | Shape::Lines(lines) => lines.iter().flatten().try_for_each(point),
        Shape::Polygons(all) => all.iter().flatten().flatten().try_for_each(point),
        Shape::Collection(shapes) => shapes.iter().try_for_each(checked),
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Point(_) => "POINT",
            Self::Line(_) => "LINESTRING",
            Self::Polygon(_) => "POLYGON",
            Self::Points(_) => "MULTIPOINT",
            Self::Lines(_) => "MULTILINESTRING",
            Self::Polygons(_) => "MULTIPOLYGON",
            Self::Collection(_) => "GEOMETRYCOLLECTION",
        };
        let parts: Vec<String> = match self {
            Self::Point(point) => vec![coordinates(point)],
            Self::Line(points) | Self::Points(points) => points.iter().map(coordinates).collect(),
            Self::Polygon(lines) | Self::Lines(lines) => lines.iter().map(|l| line(l)).collect(),
            Self::Polygons(all) => all
                .iter()
                .map(|lines| {
                    let lines: Vec<String> = lines.iter().map(|l| line(l)).collect();
                    format!("({})", lines.join(", "))
                })
                .collect(),
            Self::Collection(shapes) => shapes.iter().map(ToString::to_string).collect(),
        };
        if parts.is_empty() {
            // There is one empty place, whatever it was written as.
            return f.write_str("GEOMETRYCOLLECTION EMPTY");
        }
        write!(f, "{name}({})", parts.join(", "))
    }
}

fn coordinates((longitude, latitude): &Point) -> String {
    // Minus zero is zero.
    format!("{} {}", longitude + 0.0, latitude + 0.0)
}

fn line(points: &[Point]) -> String {
    let points: Vec<String> = points.iter().map(coordinates).collect();
    format!("({})", points.join(", "))
}

/// What is left of a well-known text.
struct Text<'a> {
    rest: &'a str,
}

impl<'a> Text<'a> {
    fn whole(mut self) -> Option<Shape> {
        let shape = self.shape(0)?;
        self.rest.trim().is_empty().then_some(shape)
    }

    fn word(&mut self) -> &'a str {
        self.rest = self.rest.trim_start();
        let end = self.rest.find(|c: char| !c.is_ascii_alphabetic());
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        word
    }

    fn eat(&mut self, sign: char) -> Option<()> {
        self.rest = self.rest.trim_start().strip_prefix(sign)?;
        Some(())
    }

    fn number(&mut self) -> Option<f64> {
        self.rest = self.rest.trim_start();
        let end = self
            .rest
            .find(|c: char| c.is_whitespace() || matches!(c, ',' | '(' | ')'));
        let (number, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        number.parse().ok()
    }

    fn point(&mut self) -> Option<Point> {
        Some((self.number()?, self.number()?))
    }

    /// A point that may stand in parentheses of its own.
    fn loose_point(&mut self) -> Option<Point> {
        if self.eat('(').is_none() {
            return self.point();
        }
        let point = self.point()?;
        self.eat(')')?;
        Some(point)
    }

    fn list<T>(&mut self, one: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let before = self.rest;
        if self.word().eq_ignore_ascii_case("EMPTY") {
            return Some(Vec::new());
        }
        self.rest = before;
        self.eat('(')?;
        let mut all = vec![one(self)?];
        while self.eat(',').is_some() {
            all.push(one(self)?);
        }
        self.eat(')')?;
        Some(all)
    }

    fn lines(&mut self) -> Option<Vec<Vec<Point>>> {
        self.list(|text| text.list(Self::point))
    }

    fn shape(&mut self, depth: usize) -> Option<Shape> {
        if depth > MAX_DEPTH {
            return None;
        }
        Some(match self.word().to_ascii_uppercase().as_str() {
            "POINT" => match self.list(Self::point)?.as_slice() {
                [] => Shape::Points(Vec::new()),
                [point] => Shape::Point(*point),
                _ => return None,
            },
            "LINESTRING" => Shape::Line(self.list(Self::point)?),
            "POLYGON" => Shape::Polygon(self.lines()?),
            "MULTIPOINT" => Shape::Points(self.list(Self::loose_point)?),
            "MULTILINESTRING" => Shape::Lines(self.lines()?),
            "MULTIPOLYGON" => Shape::Polygons(self.list(Self::lines)?),
            "GEOMETRYCOLLECTION" => Shape::Collection(self.list(|text| text.shape(depth + 1))?),
            _ => return None,
        })
    }
}

/// What is left of a well-known binary.
struct Binary<'a> {
    rest: &'a [u8],
}

impl Binary<'_> {
    fn whole(mut self) -> Option<Shape> {
        let shape = self.shape(0)?;
        self.rest.is_empty().then_some(shape)
    }

    fn take<const N: usize>(&mut self, big: bool) -> Option<[u8; N]> {
        let (bytes, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        let mut bytes = *bytes;
        if big {
            bytes.reverse();
        }
        Some(bytes)
    }

    fn count(&mut self, big: bool) -> Option<usize> {
        let count = usize::try_from(u32::from_le_bytes(self.take(big)?)).ok()?;
        // Every part has four bytes at least.
        (count <= self.rest.len() / 4).then_some(count)
    }

    fn point(&mut self, big: bool) -> Option<Point> {
        let longitude = f64::from_le_bytes(self.take(big)?);
        Some((longitude, f64::from_le_bytes(self.take(big)?)))
    }

    fn line(&mut self, big: bool) -> Option<Vec<Point>> {
        (0..self.count(big)?).map(|_| self.point(big)).collect()
    }

    fn lines(&mut self, big: bool) -> Option<Vec<Vec<Point>>> {
        (0..self.count(big)?).map(|_| self.line(big)).collect()
    }

    fn shape(&mut self, depth: usize) -> Option<Shape> {
        if depth > MAX_DEPTH {
            return None;
        }
        let [order] = self.take::<1>(false)?;
        let big = match order {
            0 => true,
            1 => false,
            _ => return None,
        };
        let mut kind = u32::from_le_bytes(self.take(big)?);
        if kind & 0x2000_0000 != 0 {
            // A reference system follows, which is always the same.
            self.take::<4>(big)?;
            kind &= !0x2000_0000;
        }
        let parts = |binary: &mut Self| {
            let count = binary.count(big)?;
            (0..count)
                .map(|_| binary.shape(depth + 1))
                .collect::<Option<Vec<Shape>>>()
        };
        Some(match kind {
            1 => match self.point(big)? {
                (x, y) if x.is_nan() && y.is_nan() => Shape::Points(Vec::new()),
                point => Shape::Point(point),
            },
            2 => Shape::Line(self.line(big)?),
            3 => Shape::Polygon(self.lines(big)?),
            4 => Shape::Points(all(parts(self)?, |s| match s {
                Shape::Point(point) => Some(point),
                _ => None,
            })?),
            5 => Shape::Lines(all(parts(self)?, |s| match s {
                Shape::Line(points) => Some(points),
                _ => None,
            })?),
            6 => Shape::Polygons(all(parts(self)?, |s| match s {
                Shape::Polygon(lines) => Some(lines),
                _ => None,
            })?),
            7 => Shape::Collection(parts(self)?),
            _ => return None,
        })
    }
}

fn all<T>(shapes: Vec<Shape>, one: impl Fn(Shape) -> Option<T>) -> Option<Vec<T>> {
    shapes.into_iter().map(one).collect()
}

fn of_json(json: &Value, depth: usize) -> Option<Shape> {
    if depth > MAX_DEPTH {
        return None;
    }
    let inner = &json["coordinates"];
    Some(match json["type"].as_str()? {
        "Point" => Shape::Point(json_point(inner)?),
        "LineString" => Shape::Line(json_all(inner, json_point)?),
        "Polygon" => Shape::Polygon(json_all(inner, |l| json_all(l, json_point))?),
        "MultiPoint" => Shape::Points(json_all(inner, json_point)?),
        "MultiLineString" => Shape::Lines(json_all(inner, |l| json_all(l, json_point))?),
        "MultiPolygon" => Shape::Polygons(json_all(inner, |p| {
            json_all(p, |l| json_all(l, json_point))
        })?),
        "GeometryCollection" => {
            Shape::Collection(json_all(&json["geometries"], |g| of_json(g, depth + 1))?)
        }
        _ => return None,
    })
}

fn json_point(json: &Value) -> Option<Point> {
    match json.as_array()?.as_slice() {
        [longitude, latitude] => Some((longitude.as_f64()?, latitude.as_f64()?)),
        _ => None,
    }
}

fn json_all<T>(json: &Value, one: impl Fn(&Value) -> Option<T>) -> Option<Vec<T>> {
    json.as_array()?.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_way_to_write_a_place_gives_one_text() {
        for (written, wanted) in [
            ("point(-135.0000  90.0)", "POINT(-135 90)"),
            ("POINT EMPTY", "GEOMETRYCOLLECTION EMPTY"),
            ("LineString (0 0,1.5 1e0)", "LINESTRING(0 0, 1.5 1)"),
            (
                "polygon((0 0, 1 0, 1 1, 0 0))",
                "POLYGON((0 0, 1 0, 1 1, 0 0))",
            ),
            ("MULTIPOINT((1 2), 3 4)", "MULTIPOINT(1 2, 3 4)"),
            (
                "MULTIPOLYGON(((0 0, 1 0, 1 1, 0 0)))",
                "MULTIPOLYGON(((0 0, 1 0, 1 1, 0 0)))",
            ),
            (
                "GEOMETRYCOLLECTION(POINT(1 2), LINESTRING(0 0, 1 1))",
                "GEOMETRYCOLLECTION(POINT(1 2), LINESTRING(0 0, 1 1))",
            ),
            (
                r#"{"type": "Point", "coordinates": [1, -0.0]}"#,
                "POINT(1 0)",
            ),
            (
                r#"{"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}"#,
                "POLYGON((0 0, 1 0, 1 1, 0 0))",
            ),
            ("0101000000000000000000f03f0000000000000040", "POINT(1 2)"),
            ("00000000013ff00000000000004000000000000000", "POINT(1 2)"),
            (
                "0101000020e6100000000000000000f03f0000000000000040",
                "POINT(1 2)",
            ),
        ] {
            assert_eq!(from_text(written).unwrap(), wanted, "{written}");
        }
        let points = [1, 4, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 0, 0];
        let bytes = [&points[..], &1_f64.to_le_bytes(), &2_f64.to_le_bytes()].concat();
        assert_eq!(from_binary(&bytes).unwrap(), "MULTIPOINT(1 2)");
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for wrong in [
            "",
            "POINT",
            "POINT(1)",
            "POINT(1 2",
            "POINT(1 2) x",
            "POINT(1 91)",
            "POINT(nan 1)",
            "CIRCLE(1 2)",
            "{\"type\": \"Point\"}",
            "0101000000",
            "01ff0000000000000000",
            // A count that nobody has the bytes for.
            "0102000000ffffffff",
        ] {
            assert!(from_text(wrong).is_err(), "{wrong:?}");
        }
        let deep = "GEOMETRYCOLLECTION(".repeat(100_000);
        assert!(from_text(&deep).is_err());
        assert!(from_binary(&[1, 7, 0, 0, 0, 1, 0, 0, 0].repeat(50_000)).is_err());
    }
}
