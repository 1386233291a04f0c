//! How derived columns are written: a map from name to SQL whose order counts.
//!
//! Owns the form in files. Must not know SQL.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Derivations;

impl Derivations {
    /// The derived columns in the order written: name, SQL expression.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, sql)| (name.as_str(), sql.as_str()))
    }
}

impl Serialize for Derivations {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, sql) in &self.0 {
            map.serialize_entry(name, sql)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Derivations {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Derivations;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map from column name to SQL expression")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Derivations, A::Error> {
                let mut all: Vec<(String, String)> = Vec::new();
                while let Some((name, sql)) = map.next_entry::<String, String>()? {
                    if all.iter().any(|(earlier, _)| *earlier == name) {
                        return Err(A::Error::custom(format_args!(
                            "column \"{name}\" is derived twice"
                        )));
                    }
                    all.push((name, sql));
                }
                Ok(Derivations(all))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

impl JsonSchema for Derivations {
    fn schema_name() -> Cow<'static, str> {
        "Derivations".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Derived columns in the order written: name and SQL expression.",
            "type": "object",
            "additionalProperties": {
                "type": "string",
                "description": "SQL expression over the source's columns and the columns derived before it."
            },
            "examples": [{"basket_per_item": "basket / NULLIF(items, 0)"}]
        })
    }
}
