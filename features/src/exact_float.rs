//! Floats that survive JSON bit for bit, those that JSON has no literal for included.

use std::fmt;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A float written as a JSON number when finite and as `"nan"`, `"inf"` or `"-inf"` otherwise.
///
/// Equality is by bits, and every NaN is the same NaN.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ExactFloat(pub(crate) f64);

impl From<f64> for ExactFloat {
    fn from(value: f64) -> Self {
        Self(value)
    }
}

impl PartialEq for ExactFloat {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits() || (self.0.is_nan() && other.0.is_nan())
    }
}

impl Serialize for ExactFloat {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_finite() {
            serializer.serialize_f64(self.0)
        } else if self.0.is_nan() {
            serializer.serialize_str("nan")
        } else if self.0 > 0.0 {
            serializer.serialize_str("inf")
        } else {
            serializer.serialize_str("-inf")
        }
    }
}

struct ExactFloatVisitor;

impl Visitor<'_> for ExactFloatVisitor {
    type Value = ExactFloat;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, \"nan\", \"inf\" or \"-inf\"")
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<ExactFloat, E> {
        Ok(ExactFloat(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<ExactFloat, E> {
        Ok(ExactFloat(value as f64))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<ExactFloat, E> {
        Ok(ExactFloat(value as f64))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<ExactFloat, E> {
        match value {
            "nan" => Ok(ExactFloat(f64::NAN)),
            "inf" => Ok(ExactFloat(f64::INFINITY)),
            "-inf" => Ok(ExactFloat(f64::NEG_INFINITY)),
            _ => Err(E::invalid_value(Unexpected::Str(value), &self)),
        }
    }
}

impl<'de> Deserialize<'de> for ExactFloat {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ExactFloatVisitor)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_kind_of_float_survives_text() {
        for value in [
            0.0,
            -0.0,
            0.1 + 0.2,
            f64::MAX,
            f64::MIN_POSITIVE,
            5e-324,
            f64::NAN,
            f64::INFINITY,
            -1.0 / 0.0,
            3.0,
        ] {
            let text = serde_json::to_string(&ExactFloat(value)).unwrap();
            let back: ExactFloat = serde_json::from_str(&text).unwrap();
            assert_eq!(back, ExactFloat(value), "{text}");
        }
        assert!(serde_json::from_str::<ExactFloat>("\"many\"").is_err());
    }
}
