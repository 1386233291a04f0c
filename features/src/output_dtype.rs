//! The floating-point type in which numeric features leave.

use arrow::datatypes::DataType;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Type of every floating-point output column. One-hot columns are UInt8 and ordinal ids Int32 whatever is chosen here.
///
/// All arithmetic is done in 64 bits; the cast comes last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OutputDtype {
    /// 32-bit floats: half the bytes, about seven decimal digits.
    Float32,
    /// 64-bit floats.
    #[default]
    Float64,
}

impl OutputDtype {
    /// The Arrow type.
    pub fn data_type(self) -> DataType {
        match self {
            Self::Float32 => DataType::Float32,
            Self::Float64 => DataType::Float64,
        }
    }

    /// What a stream of the given type becomes when it leaves: every float takes this dtype, all else stays.
    pub(crate) fn leaving(self, data_type: &DataType) -> DataType {
        if data_type.is_floating() {
            self.data_type()
        } else {
            data_type.clone()
        }
    }
}
