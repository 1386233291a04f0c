//! Calls that become calls of other functions with other arguments: what BigQuery writes in one function and the planner in several.

use datafusion::sql::sqlparser::ast::{
    self, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArguments,
};

use crate::query::sql_types::plain;
use crate::query::{QueryError, rewrite::build, unsupported};

/// Functions of one name here and another there, and how many arguments they take.
const CALLS: &[(&str, &str, &[usize])] = &[
    ("array_first", "millpond_array_first", &[1]),
    ("array_last", "millpond_array_last", &[1]),
    ("ascii", "millpond_ascii", &[1]),
    ("bit_count", "millpond_bit_count", &[1]),
    ("cbrt", "millpond_cbrt", &[1]),
    ("chr", "millpond_chr", &[1]),
    (
        "code_points_to_bytes",
        "millpond_code_points_to_bytes",
        &[1],
    ),
    ("code_points_to_string", "millpond_of_code_points", &[1]),
    ("contains_substr", "millpond_contains_substr", &[2]),
    ("date_bucket", "millpond_bucket", &[2, 3]),
    ("datetime_bucket", "millpond_bucket", &[2, 3]),
    ("timestamp_bucket", "millpond_bucket", &[2, 3]),
    ("date_from_unix_date", "millpond_date_from_unix", &[1]),
    ("initcap", "millpond_initcap", &[1, 2]),
    ("instr", "millpond_instr", &[2, 3, 4]),
    ("is_inf", "millpond_is_inf", &[1]),
    (
        "json_array",
        "millpond_json_array",
        &[
            0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23,
            24, 25, 26, 27, 28, 29, 30, 31, 32,
        ],
    ),
    ("json_extract_array", "millpond_json_query_array", &[1, 2]),
    ("json_keys", "millpond_json_keys", &[1, 2]),
    (
        "json_object",
        "millpond_json_object",
        &[
            0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32, 34, 36, 38, 40, 42, 44,
            46, 48,
        ],
    ),
    ("json_query_array", "millpond_json_query_array", &[1, 2]),
    ("json_type", "millpond_json_type", &[1]),
    ("justify_days", "millpond_justify_days", &[1]),
    ("justify_hours", "millpond_justify_hours", &[1]),
    ("justify_interval", "millpond_justify_interval", &[1]),
    ("lax_bool", "millpond_json_lax_bool", &[1]),
    ("lax_float64", "millpond_json_lax_float", &[1]),
    ("lax_int64", "millpond_json_lax_integer", &[1]),
    ("lax_string", "millpond_json_lax_text", &[1]),
    ("bool", "millpond_json_bool", &[1]),
    ("float64", "millpond_json_float", &[1]),
    ("int64", "millpond_json_integer", &[1]),
    ("parse_date", "millpond_parse_date", &[2]),
    ("parse_datetime", "millpond_parse_datetime", &[2]),
    ("parse_time", "millpond_parse_time", &[2]),
    ("parse_timestamp", "millpond_parse_timestamp", &[2, 3]),
    ("range_bucket", "millpond_range_bucket", &[2]),
    ("range_contains", "millpond_range_contains", &[2]),
    ("range_intersect", "millpond_range_intersect", &[2]),
    ("range_overlaps", "millpond_range_overlaps", &[2]),
    ("safe_add", "millpond_safe_add", &[2]),
    (
        "safe_convert_bytes_to_string",
        "millpond_bytes_to_text",
        &[1],
    ),
    ("safe_multiply", "millpond_safe_multiply", &[2]),
    ("safe_negate", "millpond_safe_negate", &[1]),
    ("safe_subtract", "millpond_safe_subtract", &[2]),
    ("sign", "millpond_sign", &[1]),
    ("st_asgeojson", "millpond_place_json", &[1]),
    ("st_dimension", "millpond_dimension", &[1]),
    ("st_distance", "millpond_distance", &[2]),
    ("st_dwithin", "millpond_within_distance", &[3]),
    ("st_geogfromgeojson", "millpond_place_of_json", &[1]),
    ("st_geogfromwkb", "millpond_place_of_bytes", &[1]),
    ("st_geometrytype", "millpond_place_kind", &[1]),
    ("st_isempty", "millpond_is_empty_place", &[1]),
    ("st_npoints", "millpond_points", &[1]),
    ("st_numpoints", "millpond_points", &[1]),
    ("st_x", "millpond_longitude", &[1]),
    ("st_y", "millpond_latitude", &[1]),
    ("time", "millpond_time_of", &[3]),
    ("datetime", "millpond_datetime_of", &[6]),
    ("to_code_points", "millpond_code_points", &[1]),
    ("translate", "millpond_translate", &[3]),
    ("unicode", "millpond_unicode", &[1]),
    ("unix_date", "millpond_unix_date", &[1]),
];

/// What a call is to be replaced with; `None` for one that is not among these.
///
/// # Errors
/// [`QueryError::Unsupported`] for arguments of another kind.
pub(in crate::query) fn spell(
    name: &str,
    function: &Function,
    given: &[Expr],
) -> Result<Option<Expr>, QueryError> {
    if function.over.is_none() {
        let known = CALLS
            .iter()
            .find(|(from, _, counts)| *from == name && counts.contains(&given.len()));
        if let Some((_, to, _)) = known {
            return Ok(Some(build::call(to, given.to_vec())));
        }
        if let Some(other) = scalar(name, given)? {
            return Ok(Some(other));
        }
    }
    aggregate(name, function, given)
}

fn scalar(name: &str, given: &[Expr]) -> Result<Option<Expr>, QueryError> {
    let to = |kind: &str, value: Expr| build::cast(value, &plain("value", kind));
    let in_zone = |value: &Expr, zone: &Expr| {
        build::call("millpond_in_zone", vec![value.clone(), zone.clone()])
    };
    Ok(Some(match (name, given) {
        ("round", [_, _, _]) => build::call("millpond_round", given.to_vec()),
        ("parse_numeric" | "parse_bignumeric", [value]) => {
            let plain = build::call("millpond_plain_number", vec![value.clone()]);
            to(
                name.trim_start_matches("parse_").to_uppercase().as_str(),
                plain,
            )
        }
        ("round" | "trunc", [value, ..]) => {
            let rounded = build::call(name, given.to_vec());
            build::call("millpond_rounded", vec![rounded, value.clone()])
        }
        ("normalize" | "normalize_and_casefold", [value, rest @ ..]) if rest.len() < 2 => {
            let form = match rest.first() {
                Some(form) => part_name(form)?,
                None => build::text("NFC"),
            };
            build::call(&format!("millpond_{name}"), vec![value.clone(), form])
        }
        ("nullifzero", [value]) => build::call("nullif", vec![value.clone(), build::number(0)]),
        ("zeroifnull", [value]) => build::call("coalesce", vec![value.clone(), build::number(0)]),
        ("log", [value]) => build::call("millpond_ln", vec![value.clone()]),
        ("log", [_, _]) => build::call("millpond_log", given.to_vec()),
        ("array_to_string", [_, _, _]) => build::call("millpond_array_to_string", given.to_vec()),
        ("last_day", [value]) => build::call(
            "millpond_last_day",
            vec![value.clone(), build::text("MONTH")],
        ),
        ("last_day", [value, part]) => {
            build::call("millpond_last_day", vec![value.clone(), part_name(part)?])
        }
        ("date", [value, zone]) => to("DATE", in_zone(value, zone)),
        ("datetime", [_, Expr::Value(zone)])
            if matches!(zone.value, ast::Value::SingleQuotedString(_)) =>
        {
            build::call("millpond_in_zone", given.to_vec())
        }
        ("datetime", [_, _]) => build::call("millpond_datetime_of", given.to_vec()),
        ("session_user", []) => build::text(crate::jobs::USER),
        ("time", [value, zone]) => to("TIME", in_zone(value, zone)),
        ("timestamp", [value, zone]) => {
            let local = to("DATETIME", value.clone());
            build::call("millpond_from_zone", vec![local, zone.clone()])
        }
        ("string", [_, _]) => build::call("millpond_text_in_zone", given.to_vec()),
        ("current_date", [zone]) => {
            let now = to("TIMESTAMP", build::call("now", Vec::new()));
            to("DATE", in_zone(&now, zone))
        }
        ("current_datetime", [zone]) => {
            let now = to("TIMESTAMP", build::call("now", Vec::new()));
            in_zone(&now, zone)
        }
        ("generate_date_array", [from, until]) => {
            let mut arguments = vec![to("DATE", from.clone()), to("DATE", until.clone())];
            arguments.extend([build::number(1), build::text("DAY")]);
            build::call("millpond_date_array", arguments)
        }
        ("generate_date_array", [from, until, interval]) => {
            let arguments = series("DATE", from, until, interval)?;
            build::call("millpond_date_array", arguments)
        }
        ("generate_timestamp_array", [from, until, interval]) => {
            let arguments = series("TIMESTAMP", from, until, interval)?;
            build::call("millpond_timestamp_array", arguments)
        }
        ("generate_range_array", [_, _]) => {
            let last_too = Expr::Value(ast::Value::Boolean(true).into());
            build::call("millpond_range_array", [given, &[last_too]].concat())
        }
        ("generate_range_array", [_, _, _]) => build::call("millpond_range_array", given.to_vec()),
        ("grouping", [_]) => to("INTEGER", build::call("grouping", given.to_vec())),
        _ => return Ok(None),
    }))
}

fn series(kind: &str, from: &Expr, until: &Expr, interval: &Expr) -> Result<Vec<Expr>, QueryError> {
    let to = |kind: &str, value: &Expr| build::cast(value.clone(), &plain("value", kind));
    let Some((count, part)) = build::interval_of(interval) else {
        return Err(unsupported(format!("the step {interval}")));
    };
    Ok(vec![
        to(kind, from),
        to(kind, until),
        count.clone(),
        part.clone(),
    ])
}

/// The name of a part of a date as a text.
pub(in crate::query) fn part_name(part: &Expr) -> Result<Expr, QueryError> {
    match part {
        Expr::Identifier(name) => Ok(build::text(&name.value)),
        other => Err(unsupported(format!("the date part {other}"))),
    }
}

/// Aggregates that are others of gathered values.
fn aggregate(name: &str, function: &Function, given: &[Expr]) -> Result<Option<Expr>, QueryError> {
    let limit = limit_of(function);
    Ok(Some(match (name, given) {
        ("array_agg", [_]) if limit.is_some() => {
            let all = gathered(function);
            build::call(
                "millpond_array_head",
                vec![all, limit.unwrap_or_else(build::null)],
            )
        }
        ("string_agg", [_] | [_, _]) if limit.is_some() => {
            let mut all = function.clone();
            keep_arguments(&mut all, 1);
            if let FunctionArguments::List(list) = &mut all.args {
                let ignored = ast::NullTreatment::IgnoreNulls;
                list.clauses
                    .push(FunctionArgumentClause::IgnoreOrRespectNulls(ignored));
            }
            let all = gathered(&all);
            let some = build::call(
                "millpond_array_head",
                vec![all, limit.unwrap_or_else(build::null)],
            );
            let between = given.get(1).cloned().unwrap_or_else(|| build::text(","));
            build::call("millpond_array_to_string", vec![some, between])
        }
        ("any_value", [_]) if having_of(function).is_some() => {
            let (kind, by) =
                having_of(function).unwrap_or((ast::HavingBoundKind::Max, build::null()));
            extreme(function, &by, kind == ast::HavingBoundKind::Max)
        }
        ("max_by" | "min_by", [_, by]) => {
            let mut one = function.clone();
            keep_arguments(&mut one, 1);
            extreme(&one, by, name == "max_by")
        }
        ("array_concat_agg", [_]) => {
            let mut all = function.clone();
            if let FunctionArguments::List(list) = &mut all.args {
                let ignored = ast::NullTreatment::IgnoreNulls;
                list.clauses
                    .push(FunctionArgumentClause::IgnoreOrRespectNulls(ignored));
            }
            let all = gathered(&all);
            let some = match limit {
                Some(limit) => build::call("millpond_array_head", vec![all, limit]),
                None => all,
            };
            build::call("flatten", vec![some])
        }
        ("approx_top_sum", [value, weight, count]) => {
            let pair = [
                build::text("value"),
                value.clone(),
                build::text("sum"),
                weight.clone(),
            ];
            let mut one = function.clone();
            keep_arguments(&mut one, 1);
            if let FunctionArguments::List(list) = &mut one.args {
                let pair = build::call("named_struct", pair.to_vec());
                list.args = vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(pair))];
            }
            build::call("millpond_top_sum", vec![gathered(&one), count.clone()])
        }
        ("percentile_cont" | "percentile_disc" | "approx_quantiles", [_, _])
            if respects_nulls(function) =>
        {
            return Err(unsupported(format!(
                "RESPECT NULLS in {}",
                name.to_uppercase()
            )));
        }
        ("approx_quantiles", [_, count]) => {
            let mut one = function.clone();
            keep_arguments(&mut one, 1);
            let all = gathered(&one);
            build::call("millpond_quantiles", vec![all, count.clone()])
        }
        ("approx_top_count", [_, count]) => {
            let mut one = function.clone();
            keep_arguments(&mut one, 1);
            let all = gathered(&one);
            build::call("millpond_top_count", vec![all, count.clone()])
        }
        ("percentile_cont" | "percentile_disc", [_, part]) => {
            let mut one = function.clone();
            keep_arguments(&mut one, 1);
            let all = gathered(&one);
            let to = format!("millpond_{name}");
            build::call(&to, vec![all, part.clone()])
        }
        _ => return Ok(None),
    }))
}

fn keep_arguments(function: &mut Function, count: usize) {
    if let FunctionArguments::List(list) = &mut function.args {
        list.args.truncate(count);
    }
}

fn limit_of(function: &Function) -> Option<Expr> {
    let FunctionArguments::List(list) = &function.args else {
        return None;
    };
    list.clauses.iter().find_map(|clause| match clause {
        FunctionArgumentClause::Limit(limit) => Some(limit.clone()),
        _ => None,
    })
}

fn respects_nulls(function: &Function) -> bool {
    let inner = match &function.args {
        FunctionArguments::List(list) => list.clauses.iter().any(|clause| {
            matches!(
                clause,
                FunctionArgumentClause::IgnoreOrRespectNulls(ast::NullTreatment::RespectNulls)
            )
        }),
        _ => false,
    };
    inner || function.null_treatment == Some(ast::NullTreatment::RespectNulls)
}

fn having_of(function: &Function) -> Option<(ast::HavingBoundKind, Expr)> {
    let FunctionArguments::List(list) = &function.args else {
        return None;
    };
    list.clauses.iter().find_map(|clause| match clause {
        FunctionArgumentClause::Having(ast::HavingBound(kind, by)) => Some((*kind, by.clone())),
        _ => None,
    })
}

/// ARRAY_AGG of the call's argument, without a limit.
fn gathered(function: &Function) -> Expr {
    let mut all = function.clone();
    all.name = vec![ast::Ident::new("array_agg")].into();
    if let FunctionArguments::List(list) = &mut all.args {
        list.clauses.retain(|clause| {
            !matches!(
                clause,
                FunctionArgumentClause::Limit(_) | FunctionArgumentClause::Having(_)
            )
        });
    }
    crate::query::rewrite::clauses::in_order(&mut all);
    Expr::Function(all)
}

/// The value of the row where another one is the greatest or least; rows where that is missing count for nothing.
fn extreme(function: &Function, by: &Expr, greatest: bool) -> Expr {
    let mut all = function.clone();
    all.name = vec![ast::Ident::new("array_agg")].into();
    if let FunctionArguments::List(list) = &mut all.args {
        let value = list.args.first().cloned();
        let pair = vec![
            build::text("by"),
            by.clone(),
            build::text("value"),
            match value {
                Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(value))) => value,
                _ => build::null(),
            },
        ];
        let pair = build::call("named_struct", pair);
        list.args = vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(pair))];
        list.clauses.clear();
    }
    let side = if greatest { "MAX" } else { "MIN" };
    build::call(
        "millpond_extreme",
        vec![Expr::Function(all), build::text(side)],
    )
}
