//! What is computed of places: of points exactly, of anything else only what needs no edges.

use super::{Point, Shape, Text};

/// Meters from the middle of the earth to its surface, where it is a ball.
const RADIUS: f64 = 6_371_010.0;

/// A place that has been read.
#[derive(Debug)]
pub(crate) struct Place(Shape);

impl Place {
    /// Reads a place in the form that it is kept in.
    ///
    /// # Errors
    /// What it says instead.
    pub fn read(text: &str) -> Result<Self, String> {
        let shape = Text { rest: text }.whole();
        shape
            .map(Self)
            .ok_or_else(|| format!("Invalid geography value: {text:?}"))
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.points() == 0
    }

    /// The one point that it is; nothing of an empty place.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn point(&self) -> Result<Option<Point>, String> {
        match &self.0 {
            Shape::Point(point) => Ok(Some(*point)),
            _ if self.is_empty() => Ok(None),
            _ => Err("the geography is not a single point".to_owned()),
        }
    }

    /// How many points it is described by; the end of a ring is its beginning.
    pub fn points(&self) -> usize {
        fn count(shape: &Shape) -> usize {
            let ring = |ring: &Vec<Point>| ring.len().saturating_sub(1);
            match shape {
                Shape::Point(_) => 1,
                Shape::Line(points) | Shape::Points(points) => points.len(),
                Shape::Polygon(rings) => rings.iter().map(ring).sum(),
                Shape::Lines(lines) => lines.iter().map(Vec::len).sum(),
                Shape::Polygons(all) => all.iter().flatten().map(ring).sum(),
                Shape::Collection(shapes) => shapes.iter().map(count).sum(),
            }
        }
        count(&self.0)
    }

    /// Points have no dimension, lines one, polygons two; an empty place has -1.
    pub fn dimension(&self) -> i64 {
        fn of(shape: &Shape) -> i64 {
            match shape {
                Shape::Point(_) | Shape::Points(_) => 0,
                Shape::Line(_) | Shape::Lines(_) => 1,
                Shape::Polygon(_) | Shape::Polygons(_) => 2,
                Shape::Collection(shapes) => shapes.iter().map(of).max().unwrap_or(-1),
            }
        }
        if self.is_empty() { -1 } else { of(&self.0) }
    }

    /// The name of its kind.
    pub fn kind(&self) -> &'static str {
        match &self.0 {
            _ if self.is_empty() => "ST_GeometryCollection",
            Shape::Point(_) => "ST_Point",
            Shape::Line(_) => "ST_LineString",
            Shape::Polygon(_) => "ST_Polygon",
            Shape::Points(_) => "ST_MultiPoint",
            Shape::Lines(_) => "ST_MultiLineString",
            Shape::Polygons(_) => "ST_MultiPolygon",
            Shape::Collection(_) => "ST_GeometryCollection",
        }
    }

    /// GeoJSON of points. Edges would have to be made flat.
    ///
    /// # Errors
    /// When it has edges.
    pub fn json(&self) -> Result<String, String> {
        let one = |(longitude, latitude): &Point| format!("[{longitude}, {latitude}]");
        match &self.0 {
            _ if self.is_empty() => {
                Ok(r#"{ "type": "GeometryCollection", "geometries": [] }"#.to_owned())
            }
            Shape::Point(point) => Ok(format!(
                r#"{{ "type": "Point", "coordinates": {} }}"#,
                one(point)
            )),
            Shape::Points(points) => {
                let points: Vec<String> = points.iter().map(one).collect();
                Ok(format!(
                    r#"{{ "type": "MultiPoint", "coordinates": [{}] }}"#,
                    points.join(", ")
                ))
            }
            _ => Err(format!(
                "ST_ASGEOJSON of {} is not supported by this emulator",
                self.kind()
            )),
        }
    }
}

/// A point as a direction from the middle of the earth.
fn direction((longitude, latitude): Point) -> [f64; 3] {
    let (longitude, latitude) = (longitude.to_radians(), latitude.to_radians());
    [
        latitude.cos() * longitude.cos(),
        latitude.cos() * longitude.sin(),
        latitude.sin(),
    ]
}

/// Meters between two points, along the surface.
pub(crate) fn distance(one: Point, other: Point) -> f64 {
    let ([a, b, c], [x, y, z]) = (direction(one), direction(other));
    let across = [b * z - c * y, c * x - a * z, a * y - b * x];
    let across = across.iter().map(|part| part * part).sum::<f64>().sqrt();
    across.atan2(a * x + b * y + c * z) * RADIUS
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn distances_are_those_of_a_ball() {
        let quarter = RADIUS * std::f64::consts::FRAC_PI_2;
        for (one, other, wanted) in [
            ((0.0, 0.0), (0.0, 0.0), 0.0),
            ((0.0, 0.0), (90.0, 0.0), quarter),
            ((10.0, 90.0), (-70.0, 0.0), quarter),
            ((0.0, 0.0), (180.0, 0.0), 2.0 * quarter),
        ] {
            assert!((distance(one, other) - wanted).abs() < 1e-6, "{one:?}");
        }
    }

    #[test]
    fn places_tell_what_they_are() {
        for (text, kind, points, dimension) in [
            ("POINT(1 2)", "ST_Point", 1, 0),
            ("LINESTRING(1 2, 3 4)", "ST_LineString", 2, 1),
            ("POLYGON((0 0, 1 0, 1 1, 0 0))", "ST_Polygon", 3, 2),
            ("GEOMETRYCOLLECTION EMPTY", "ST_GeometryCollection", 0, -1),
        ] {
            let place = Place::read(text).unwrap();
            assert_eq!(place.kind(), kind);
            assert_eq!(place.points(), points, "{text}");
            assert_eq!(place.dimension(), dimension, "{text}");
        }
        let line = Place::read("LINESTRING(1 2, 3 4)").unwrap();
        assert!(line.point().is_err());
        assert!(line.json().is_err());
        assert!(Place::read("POINT(1").is_err());
    }
}
