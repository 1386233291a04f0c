//! The shape of a chain: one column flowing through fitted steps that may split it into several streams.
//!
//! Owns the tree of branches and its compiled form; knows what a fitted step does only through [`FittedStep`].

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;

use crate::fitted_step::{FittedStep, StepError};
use crate::kernel::Kernel;
use crate::numeric;
use crate::output_dtype::OutputDtype;

/// One stream of values: the steps it goes through, and what becomes of it.
#[derive(Clone, Debug)]
pub(crate) struct Branch {
    pub(crate) name: String,
    pub(crate) steps: Vec<FittedStep>,
    pub(crate) tail: Tail,
}

/// The end of a branch.
#[derive(Clone, Debug)]
pub(crate) enum Tail {
    /// Not fitted yet beyond the first `done` steps of the chain; values are of the given type here.
    Open { done: usize, data_type: DataType },
    /// The stream leaves as a feature.
    Output,
    /// The stream ends here.
    Dropped {
        reason: DropReason,
        null_fraction: Option<f64>,
    },
    /// The last step splits the stream; one branch for each of its outputs.
    Streams(Vec<Branch>),
}

/// Why a column has no output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DropReason {
    /// The recipe drops it always.
    DropStep,
    /// More of it was missing in training than the recipe allows.
    NullFraction,
    /// It had no value at all in training, and an imputer had nothing to learn.
    NoValues,
}

impl Branch {
    pub(crate) fn open(name: String, done: usize, data_type: DataType) -> Self {
        Self {
            name,
            steps: Vec::new(),
            tail: Tail::Open { done, data_type },
        }
    }

    /// Visits the ends of all branches in order.
    pub(crate) fn visit<'a>(&'a self, visitor: &mut dyn FnMut(&'a Branch)) {
        match &self.tail {
            Tail::Streams(branches) => branches.iter().for_each(|branch| branch.visit(visitor)),
            _ => visitor(self),
        }
    }

    /// Visits every branch, those that split included.
    pub(crate) fn visit_all<'a>(&'a self, visitor: &mut dyn FnMut(&'a Branch)) {
        visitor(self);
        if let Tail::Streams(branches) = &self.tail {
            branches.iter().for_each(|branch| branch.visit_all(visitor));
        }
    }

    /// Type of every output, in order, for an input of the given type.
    pub(crate) fn output_types(&self, input: &DataType, out: &mut Vec<DataType>) {
        let mut types = vec![input.clone()];
        for step in &self.steps {
            types = types
                .first()
                .map(|first| step.output_types(first))
                .unwrap_or_default();
        }
        match &self.tail {
            Tail::Output => out.extend(types.into_iter().next()),
            Tail::Streams(branches) => {
                for (branch, data_type) in branches.iter().zip(&types) {
                    branch.output_types(data_type, out);
                }
            }
            Tail::Open { .. } | Tail::Dropped { .. } => {}
        }
    }

    /// Compiles the branch; ends of kind open or output are numbered in order from `*ends`.
    pub(crate) fn compile(&self, ends: &mut usize) -> Route {
        let mut stages: Vec<Stage> = Vec::new();
        for step in self.steps.iter().filter(|step| !step.is_identity()) {
            match (step.kernels(), stages.last_mut()) {
                (Some(more), Some(Stage::Kernels(kernels))) => kernels.extend(more),
                (Some(kernels), _) => stages.push(Stage::Kernels(kernels)),
                (None, _) => stages.push(Stage::Step(step.clone())),
            }
        }
        let end = match &self.tail {
            Tail::Open { .. } | Tail::Output => {
                let last = match stages.pop() {
                    Some(Stage::Kernels(kernels)) => kernels,
                    Some(stage) => {
                        stages.push(stage);
                        Vec::new()
                    }
                    None => Vec::new(),
                };
                *ends += 1;
                RouteEnd::Leaf {
                    index: *ends - 1,
                    kernels: last,
                }
            }
            Tail::Dropped { .. } => RouteEnd::Nothing,
            Tail::Streams(branches) => {
                RouteEnd::Streams(branches.iter().map(|branch| branch.compile(ends)).collect())
            }
        };
        Route { stages, end }
    }
}

/// A compiled branch: neighbouring numeric steps are one stage, run over cache-sized chunks.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    stages: Vec<Stage>,
    end: RouteEnd,
}

#[derive(Clone, Debug)]
enum Stage {
    Kernels(Vec<Kernel>),
    Step(FittedStep),
}

#[derive(Clone, Debug)]
enum RouteEnd {
    /// Values leave here, after the kernels given.
    Leaf {
        index: usize,
        kernels: Vec<Kernel>,
    },
    Streams(Vec<Route>),
    Nothing,
}

/// Takes values at the end of a route: index of the end, values, and kernels still to be applied to them.
pub(crate) type Receiver<'a> = dyn FnMut(usize, &ArrayRef, &[Kernel]) -> Result<(), StepError> + 'a;

impl Route {
    /// Whether the values reach the leaf by kernels alone.
    pub(crate) fn is_direct(&self) -> bool {
        self.stages.is_empty() && matches!(self.end, RouteEnd::Leaf { .. })
    }

    /// Whether values reach any leaf at all.
    pub(crate) fn has_leaf(&self) -> bool {
        match &self.end {
            RouteEnd::Leaf { .. } => true,
            RouteEnd::Streams(routes) => routes.iter().any(Self::has_leaf),
            RouteEnd::Nothing => false,
        }
    }

    /// Sends a column down the route. `leaf` gets the index of each end, the values there, and the kernels still to be
    /// applied to them.
    pub(crate) fn send(
        &self,
        values: &ArrayRef,
        unknown: &mut u64,
        leaf: &mut Receiver<'_>,
    ) -> Result<(), StepError> {
        let mut streams = vec![ArrayRef::clone(values)];
        for stage in &self.stages {
            let Some(values) = streams.first() else {
                return Ok(());
            };
            streams = match stage {
                Stage::Kernels(kernels) => {
                    let out = numeric::transform(values, kernels, OutputDtype::Float64);
                    let out = out.ok_or_else(|| StepError::NotNumeric {
                        step: "a numeric step",
                        data_type: values.data_type().clone(),
                    })?;
                    vec![out.finite()?]
                }
                Stage::Step(step) => step.transform(values, unknown)?,
            };
        }
        match &self.end {
            RouteEnd::Nothing => Ok(()),
            RouteEnd::Leaf { index, kernels } => streams
                .first()
                .map_or(Ok(()), |values| leaf(*index, values, kernels)),
            RouteEnd::Streams(routes) => routes
                .iter()
                .zip(&streams)
                .filter(|(route, _)| route.has_leaf())
                .try_for_each(|(route, values)| route.send(values, unknown, leaf)),
        }
    }
}
