//! Values that become one: branches of a choice, elements of an array, rows of a union.
//!
//! Floats and decimals are floats together, where the planner would make them decimals, and structs are what the first of them is,
//! field by field, whatever the fields of the others are called. Literal texts beside dates and times are such. Must not know how a value is cast.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, plan_err};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Projection, Union};

use crate::query::planning::{meaning, node_expressions};
use crate::schema::FieldSchema;
use crate::wire;

/// Makes values that stand for the same one of the same type, where the planner would not do as the service does.
pub(in crate::query) fn made(plan: LogicalPlan) -> Result<LogicalPlan> {
    let made = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Union(union) => united(union),
        node if node.inputs().is_empty() => Ok(Transformed::no(node)),
        node => {
            let changed = node_expressions::changed(node, one)?;
            changed.map_data(LogicalPlan::recompute_schema)
        }
    })?;
    Ok(made.data)
}

fn is_decimal(kind: &DataType) -> bool {
    matches!(
        kind,
        DataType::Decimal128(_, _) | DataType::Decimal256(_, _)
    )
}

/// A union with columns of one type each, where the planner would not find it.
fn united(union: Union) -> Result<Transformed<LogicalPlan>> {
    let targets = (0..union.schema.fields().len()).map(|at| {
        let inputs = union.inputs.iter();
        let fields = inputs.filter_map(|input| input.schema().fields().get(at));
        let fields: Vec<&Field> = fields.map(AsRef::as_ref).collect();
        let found = common(&fields).or_else(|| widest(&fields));
        found.or_else(|| beside_nothing(&fields))
    });
    let targets: Vec<Option<Field>> = targets.collect();
    let first = union.inputs.first().map(|input| input.schema().fields());
    let known = first.is_some_and(|first| {
        let mut fields = first.iter().zip(union.schema.fields());
        fields.all(|(own, told)| own.data_type() == told.data_type())
    });
    if known && targets.iter().all(Option::is_none) {
        return Ok(Transformed::no(LogicalPlan::Union(union)));
    }
    let inputs = union.inputs.into_iter();
    let inputs = inputs.map(|input| Ok(Arc::new(with_types(input, &targets)?)));
    let inputs = inputs.collect::<Result<Vec<_>>>()?;
    let union = Union::try_new_with_loose_types(inputs)?;
    Ok(Transformed::yes(LogicalPlan::Union(union)))
}

/// The rows of a query with columns of other types.
fn with_types(input: Arc<LogicalPlan>, targets: &[Option<Field>]) -> Result<LogicalPlan> {
    let columns = input.schema().columns().into_iter().zip(targets);
    let columns = columns.map(|(column, target)| {
        let value = Expr::Column(column.clone());
        let kind = value.get_type(input.schema())?;
        match target {
            Some(target)
                if kind != *target.data_type()
                    && (!kind.is_null() || target.data_type().is_nested()) =>
            {
                let cast = meaning::cast(value, &FieldSchema::from_arrow(target))?;
                Ok(cast.alias_qualified(column.relation, column.name))
            }
            _ => Ok(value),
        }
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    Ok(LogicalPlan::Projection(Projection::try_new(
        columns, input,
    )?))
}

fn one(mut expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let is_coalesce = matches!(&expr, Expr::ScalarFunction(call) if call.name() == "coalesce");
    let mut values: Vec<&mut Expr> = match &mut expr {
        Expr::Case(case) => {
            let branches = case.when_then_expr.iter_mut().map(|(_, then)| then);
            let branches = branches.chain(case.else_expr.iter_mut());
            branches.map(|branch| branch.as_mut()).collect()
        }
        Expr::ScalarFunction(call)
            if ["coalesce", "greatest", "least", "make_array"].contains(&call.name()) =>
        {
            call.args.iter_mut().collect()
        }
        _ => return Ok(Transformed::no(expr)),
    };
    let fields = values.iter().map(|value| Ok(value.to_field(schema)?.1));
    let fields = fields.collect::<Result<Vec<_>>>()?;
    let known: Vec<&Field> = fields.iter().map(AsRef::as_ref).collect();
    if let Some(target) = moment(&known) {
        let target = FieldSchema::from_arrow(target);
        for (value, field) in values.iter_mut().zip(&fields) {
            if matches!(value, Expr::Literal(_, _)) && *field.data_type() == DataType::Utf8 {
                let literal = std::mem::take(*value);
                **value = meaning::cast(literal, &target)?;
            } else if *field.data_type() == DataType::Utf8 {
                return plan_err!("STRING and {} have no common supertype", target.kind);
            }
        }
        return Ok(Transformed::yes(expr));
    }
    let Some(target) = common(&known) else {
        let mut kinds = known.iter().map(|f| f.data_type()).filter(|k| !k.is_null());
        let first = kinds.next();
        if is_coalesce && kinds.any(|kind| has_structs(kind) && Some(kind) != first) {
            return plan_err!("No matching signature for function COALESCE for these STRUCTs");
        }
        return Ok(Transformed::no(expr));
    };
    let target = FieldSchema::from_arrow(&target);
    for (value, field) in values.iter_mut().zip(&fields) {
        let kind = field.data_type();
        let of_structs = kind.is_null() && target.kind == "RECORD";
        if is_decimal(kind) || has_structs(kind) || of_structs {
            let given = std::mem::take(*value);
            **value = meaning::cast(given, &target)?;
        }
    }
    Ok(Transformed::yes(expr))
}

fn has_structs(kind: &DataType) -> bool {
    match kind {
        DataType::List(item) => has_structs(item.data_type()),
        kind => matches!(kind, DataType::Struct(_)),
    }
}

/// Whether values of such types are of one date or time type, but for texts and nulls.
pub(in crate::query) fn are_moments_and_texts(kinds: &[&DataType]) -> bool {
    let moments = kinds.iter().filter(|k| k.is_temporal());
    let mut rest = kinds.iter().filter(|k| !k.is_temporal());
    let first = moments.clone().next();
    first.is_some()
        && moments.clone().all(|kind| Some(kind) == first)
        && kinds.contains(&&DataType::Utf8)
        && rest.all(|k| k.is_null() || **k == DataType::Utf8)
}

/// The date or time that literal texts beside it are read as.
fn moment<'a>(fields: &[&'a Field]) -> Option<&'a Field> {
    let kinds: Vec<&DataType> = fields.iter().map(|f| f.data_type()).collect();
    let mut moments = fields.iter().filter(|f| f.data_type().is_temporal());
    let plain = fields
        .iter()
        .all(|f| *f.data_type() != DataType::Utf8 || wire::sql_type(f).is_none());
    moments
        .next()
        .copied()
        .filter(|_| plain && are_moments_and_texts(&kinds))
}

/// Whether a value has no type but from those beside it: NULL, or an array without elements.
fn is_open(kind: &DataType) -> bool {
    match kind {
        DataType::List(item) => item.data_type().is_null(),
        kind => kind.is_null(),
    }
}

/// What structs or arrays are beside columns of nothing but NULL or arrays without elements.
fn beside_nothing(fields: &[&Field]) -> Option<Field> {
    let open = |field: &&Field| is_open(field.data_type());
    let mut known = fields.iter().filter(|field| !open(field));
    let first = known.next()?;
    (fields.iter().any(open) && first.data_type().is_nested()).then(|| (*first).clone())
}

/// What values of some types are together, where the planner does not find that itself.
pub(in crate::query) fn common(fields: &[&Field]) -> Option<Field> {
    let mut known = fields.iter().filter(|f| !is_open(f.data_type()));
    let first = known.next()?;
    if known.clone().all(|f| f.data_type() == first.data_type()) {
        return None;
    }
    if known.clone().all(|f| has_structs(f.data_type())) && has_structs(first.data_type()) {
        let others: Vec<&Field> = known.copied().collect();
        return others
            .iter()
            .try_fold((*first).clone(), |all, other| merged(&all, other));
    }
    let numbers = fields
        .iter()
        .all(|f| f.data_type().is_numeric() || f.data_type().is_null());
    let float = fields.iter().any(|f| f.data_type().is_floating());
    let decimal = fields.iter().any(|f| is_decimal(f.data_type()));
    (numbers && float && decimal).then(|| Field::new("value", DataType::Float64, true))
}

/// How much a type of numbers holds, beside others.
fn wide(kind: &DataType) -> Option<u8> {
    match kind {
        kind if kind.is_integer() => Some(0),
        DataType::Decimal128(_, _) => Some(1),
        DataType::Decimal256(_, _) => Some(2),
        kind if kind.is_floating() => Some(3),
        _ => None,
    }
}

/// What numbers of several types are in a union, of which the planner tells the type of the first only.
fn widest(fields: &[&Field]) -> Option<Field> {
    let kinds = fields.iter().map(|f| f.data_type());
    let kinds: Vec<&DataType> = kinds.filter(|k| !k.is_null()).collect();
    let all = kinds.iter().map(|kind| wide(kind));
    let all = all.collect::<Option<Vec<u8>>>()?;
    if all.iter().min() == all.iter().max() {
        return None;
    }
    let kind = match all.iter().max()? {
        1 => DataType::Decimal128(38, 9),
        2 => DataType::Decimal256(76, 38),
        _ => DataType::Float64,
    };
    Some(Field::new("value", kind, true))
}

/// The first of two fields with types that hold both, if there are such.
fn merged(one: &Field, other: &Field) -> Option<Field> {
    let (kind, others) = (one.data_type(), other.data_type());
    let kind = match (kind, others) {
        (kind, others) if kind == others || others.is_null() => kind.clone(),
        (kind, _) if kind.is_null() => return Some(other.clone().with_name(one.name())),
        (DataType::Struct(fields), DataType::Struct(others)) if fields.len() == others.len() => {
            let fields = fields.iter().zip(others);
            let fields = fields.map(|(one, other)| merged(one, other));
            DataType::Struct(fields.collect::<Option<Vec<_>>>()?.into())
        }
        (DataType::List(item), DataType::List(others)) => {
            DataType::List(Arc::new(merged(item, others)?))
        }
        (kind, others) => match (wide(kind)?, wide(others)?) {
            (own, theirs) if own >= theirs => kind.clone(),
            _ => others.clone(),
        },
    };
    let mut both = one.clone().with_data_type(kind).with_nullable(true);
    if both.metadata().is_empty() {
        // What a value is stands beside its type.
        both.set_metadata(other.metadata().clone());
    }
    Some(both)
}
