//! Query parameters: literals that arrive beside the text.

use datafusion::sql::sqlparser::ast::{self, DataType as SqlType, ExactNumberInfo, TimezoneInfo};
use datafusion::sql::sqlparser::ast::{Expr, Value};
use serde_json::Value as Json;

use super::{QueryError, unsupported};

/// One parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parameter {
    /// Empty for a positional one.
    pub name: String,
    /// BigQuery's type name.
    pub kind: String,
    /// `None` is NULL.
    pub value: Option<String>,
}

impl Parameter {
    /// Reads `queryParameters`.
    ///
    /// # Errors
    /// [`QueryError::Unsupported`] for arrays and structs.
    pub fn read(list: &Json) -> Result<Vec<Self>, QueryError> {
        let all = list.as_array().map(Vec::as_slice).unwrap_or_default();
        all.iter()
            .map(|parameter| {
                let kind = parameter["parameterType"]["type"].as_str();
                let kind = kind.unwrap_or("STRING").to_ascii_uppercase();
                if matches!(kind.as_str(), "ARRAY" | "STRUCT" | "RANGE" | "INTERVAL") {
                    return Err(unsupported(format!("a query parameter of type {kind}")));
                }
                let value = &parameter["parameterValue"]["value"];
                Ok(Self {
                    name: parameter["name"].as_str().unwrap_or_default().to_owned(),
                    kind,
                    value: match value {
                        Json::Null => None,
                        Json::String(text) => Some(text.clone()),
                        other => Some(other.to_string()),
                    },
                })
            })
            .collect()
    }

    /// The literal that stands for it.
    pub fn literal(&self) -> Expr {
        let plain = match &self.value {
            None => Value::Null,
            Some(text) => Value::SingleQuotedString(text.clone()),
        };
        let data_type = match self.kind.as_str() {
            "INT64" | "INTEGER" => SqlType::Int64,
            "FLOAT64" | "FLOAT" => SqlType::Float64,
            "BOOL" | "BOOLEAN" => SqlType::Bool,
            "NUMERIC" => SqlType::Numeric(ExactNumberInfo::None),
            "BIGNUMERIC" => SqlType::BigNumeric(ExactNumberInfo::None),
            "DATE" => SqlType::Date,
            "TIME" => SqlType::Time(None, TimezoneInfo::None),
            "DATETIME" => SqlType::Datetime(None),
            "TIMESTAMP" => SqlType::Timestamp(None, TimezoneInfo::None),
            _ => SqlType::String(None),
        };
        Expr::Cast {
            kind: ast::CastKind::Cast,
            expr: Box::new(Expr::Value(plain.into())),
            data_type,
            array: false,
            format: None,
        }
    }
}
