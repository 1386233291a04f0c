//! What Millpond learns from rows and computes on them: splits, fitted steps, and the artefact that carries them.
//!
//! Everything here is a pure function of Arrow batches. Nothing here reads, writes, waits, or knows where rows come from.
//! Results are bit-identical whatever the batch boundaries and however work units are spread over threads.
//!
//! A recipe is a list of [`FeatureSet`]s. [`FeaturePlan::try_new`] binds it to a schema, [`FeaturePlan::fit`] gives the
//! [`Fit`] that is driven pass by pass over training rows, and [`FittedFeatures`] transforms batches afterwards.

mod artifact;
mod category;
mod chain;
mod clip;
mod date_parts;
mod drop_step;
mod exact_float;
mod expression;
mod extrema;
mod feature_set;
mod fit;
mod fitted_features;
mod fitted_step;
mod kernel;
mod logarithm;
mod max_abs_scaler;
mod min_max_scaler;
mod modes;
mod moments;
mod normal;
mod numeric;
mod one_hot_encoder;
mod ordinal_encoder;
mod output_dtype;
mod plan;
mod quantiles;
mod robust_scaler;
mod roles;
mod selector;
mod side_by_side;
mod simple_imputer;
mod split;
mod sql_step;
mod standard_scaler;
mod step;
mod transform_counts;
mod vector;

pub use crate::artifact::{ArtifactError, FeaturesArtifact};
pub use crate::category::store::{
    CategoryStore, CategoryTable, MemoryTable, Reservation, StoreError, TableBatches, TableWriter,
};
pub use crate::category::{Category, CategoryCounts, CategoryError, InvalidParts, MinFrequency};
pub use crate::clip::Clip;
pub use crate::date_parts::{DateEncoding, DatePart, DateParts, DatePartsError};
pub use crate::drop_step::Drop;
pub use crate::expression::{ColumnExpression, ExpressionCompiler, ExpressionError, NoExpressions};
pub use crate::feature_set::{FeatureSet, columns};
pub use crate::fit::{Fit, FitError, FitState};
pub use crate::fitted_features::{
    DropReason, DroppedColumn, FittedFeatures, StepError, TransformError,
};
pub use crate::max_abs_scaler::MaxAbsScaler;
pub use crate::min_max_scaler::MinMaxScaler;
pub use crate::one_hot_encoder::{OneHotDrop, OneHotEncoder, OneHotUnknown};
pub use crate::ordinal_encoder::{CategoryOrder, OrdinalEncoder, OrdinalMissing, OrdinalUnknown};
pub use crate::output_dtype::OutputDtype;
pub use crate::plan::{FeaturePlan, PassEstimate, PlanError};
pub use crate::quantiles::QuantileMethod;
pub use crate::robust_scaler::RobustScaler;
pub use crate::roles::{Role, Roles};
pub use crate::selector::{ColumnFilter, ColumnKind, INSIDE_OF, NameList, Selector};
pub use crate::side_by_side::side_by_side;
pub use crate::simple_imputer::{FillValue, ImputeStrategy, SimpleImputer};
pub use crate::split::{
    ColumnSplit, HashSplit, OneOrMany, Split, SplitAssignment, SplitError, SplitRatios, SplitSpec,
    Splitter, TimeSplit, TrainRows,
};
pub use crate::sql_step::Sql;
pub use crate::standard_scaler::StandardScaler;
pub use crate::step::{Abs, Log1p, Sqrt, Step};
pub use crate::transform_counts::TransformCounts;
