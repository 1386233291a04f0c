//! Calls of functions in DataFusion's spelling. What means the same keeps its name, what means something else is computed by this
//! crate's own functions, and what is not known is refused by name.

use datafusion::sql::sqlparser::ast::{
    self, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName,
    ObjectNamePart,
};

use crate::query::functions::{DAYS_OF_WEEK, PREFIX, SAFELY};
use crate::query::rewrite::shapes::part_name;
use crate::query::sql_types::plain;
use crate::query::{
    QueryError, functions,
    rewrite::{build, clauses, gathered, literal_times, named, shapes},
    unsupported,
};
use crate::row_restriction;

mod known;

/// Functions with one name and one meaning in both.
const SAME: &[&str] = &[
    "abs",
    "array_agg",
    "array_concat",
    "array_reverse",
    "atan",
    "atan2",
    "bit_and",
    "bit_or",
    "bit_xor",
    "ceil",
    "coalesce",
    "cos",
    "count",
    "covar_pop",
    "covar_samp",
    "cume_dist",
    "current_date",
    "dense_rank",
    "first_value",
    "floor",
    "lag",
    "last_value",
    "lead",
    "max",
    "min",
    "nth_value",
    "ntile",
    "nullif",
    "percent_rank",
    "pi",
    "rank",
    "row_number",
    "sin",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "tan",
    "tanh",
    "var_pop",
    "var_samp",
];

/// Functions that only go by another name.
const RENAMED: &[(&str, &str)] = &[
    ("any_value", "min"),
    ("generate_uuid", "uuid"),
    ("ifnull", "coalesce"),
    ("is_nan", "isnan"),
    ("logical_and", "bool_and"),
    ("logical_or", "bool_or"),
    ("rand", "random"),
    ("variance", "var_samp"),
    ("array_length", "millpond_array_length"),
    ("avg", "millpond_avg"),
    ("ceiling", "ceil"),
    ("div", "millpond_div"),
    ("error", "millpond_error"),
    ("exp", "millpond_exp"),
    ("format", "millpond_format"),
    ("format_date", "millpond_time_format"),
    ("format_datetime", "millpond_time_format"),
    ("format_time", "millpond_time_format"),
    ("format_timestamp", "millpond_time_format"),
    ("from_hex", "millpond_from_hex"),
    ("ieee_divide", "millpond_ieee_divide"),
    ("json_extract", "millpond_json_query"),
    ("json_extract_scalar", "millpond_json_value"),
    ("json_query", "millpond_json_query"),
    ("json_value", "millpond_json_value"),
    ("json_value_array", "millpond_json_value_array"),
    ("json_extract_string_array", "millpond_json_value_array"),
    ("left", "millpond_left"),
    ("lpad", "millpond_lpad"),
    ("md5", "millpond_md5"),
    ("ln", "millpond_ln"),
    ("log10", "millpond_log10"),
    ("pow", "millpond_pow"),
    ("power", "millpond_pow"),
    ("range", "millpond_range"),
    ("range_start", "millpond_range_start"),
    ("range_end", "millpond_range_end"),
    ("regexp_extract", "millpond_regexp_extract"),
    ("regexp_extract_all", "millpond_regexp_extract_all"),
    ("regexp_substr", "millpond_regexp_extract"),
    ("right", "millpond_right"),
    ("rpad", "millpond_rpad"),
    ("safe_divide", "millpond_safe_divide"),
    ("sha1", "millpond_sha1"),
    ("sha256", "millpond_sha256"),
    ("sha512", "millpond_sha512"),
    ("split", "millpond_split"),
    ("sqrt", "millpond_sqrt"),
    ("st_astext", "millpond_geography_text"),
    ("st_geogfromtext", "millpond_geography"),
    ("st_geogpoint", "millpond_point"),
    ("sum", "millpond_sum"),
    ("substr", "millpond_substr"),
    ("substring", "millpond_substr"),
    ("from_base64", "millpond_from_base64"),
    ("to_base64", "millpond_to_base64"),
    ("to_hex", "millpond_to_hex"),
    ("acos", "millpond_acos"),
    ("acosh", "millpond_acosh"),
    ("asin", "millpond_asin"),
    ("asinh", "millpond_asinh"),
    ("atanh", "millpond_atanh"),
    ("cosh", "millpond_cosh"),
    ("sinh", "millpond_sinh"),
    ("cot", "millpond_cot"),
    ("coth", "millpond_coth"),
    ("csc", "millpond_csc"),
    ("csch", "millpond_csch"),
    ("sec", "millpond_sec"),
    ("sech", "millpond_sech"),
    ("cosine_distance", "millpond_cosine_distance"),
    ("euclidean_distance", "millpond_euclidean_distance"),
    ("ends_with", "millpond_ends_with"),
    ("lower", "millpond_lower"),
    ("ltrim", "millpond_ltrim"),
    ("repeat", "millpond_repeat"),
    ("replace", "millpond_replace"),
    ("reverse", "millpond_reverse"),
    ("rtrim", "millpond_rtrim"),
    ("starts_with", "millpond_starts_with"),
    ("trim", "millpond_trim"),
    ("upper", "millpond_upper"),
    ("length", "millpond_length"),
    ("strpos", "millpond_strpos"),
    ("regexp_contains", "millpond_regexp_contains"),
    ("regexp_replace", "millpond_regexp_replace"),
    ("regexp_instr", "millpond_regexp_instr"),
    ("generate_array", "millpond_generate_array"),
    ("farm_fingerprint", "millpond_farm_fingerprint"),
    ("soundex", "millpond_soundex"),
    ("to_base32", "millpond_to_base32"),
    ("from_base32", "millpond_from_base32"),
    ("byte_length", "millpond_byte_length"),
    ("to_json_string", "millpond_to_json_string"),
    ("array_slice", "millpond_array_slice"),
    ("array_is_distinct", "millpond_array_is_distinct"),
    ("char_length", "millpond_length"),
    ("character_length", "millpond_length"),
    ("octet_length", "millpond_byte_length"),
    ("int64_array", "millpond_json_integer_array"),
    ("float64_array", "millpond_json_float_array"),
    ("string_array", "millpond_json_text_array"),
    ("bool_array", "millpond_json_bool_array"),
    ("lax_int64_array", "millpond_json_lax_integer_array"),
    ("lax_float64_array", "millpond_json_lax_float_array"),
    ("lax_string_array", "millpond_json_lax_text_array"),
    ("lax_bool_array", "millpond_json_lax_bool_array"),
];

/// What a call is to be replaced with; one that keeps its form is renamed in place.
///
/// # Errors
/// [`QueryError::Unsupported`] naming a function that is not known.
pub(in crate::query) fn spell(function: &mut Function) -> Result<Option<Expr>, QueryError> {
    if let [ObjectNamePart::Identifier(family), own] = function.name.0.as_slice()
        && family.value.eq_ignore_ascii_case("SAFE")
    {
        let mut plain = function.clone();
        plain.name = ObjectName(vec![own.clone()]);
        let name = function.name.to_string();
        let spelled = spell(&mut plain)?;
        return safely(spelled.unwrap_or(Expr::Function(plain)), &name).map(Some);
    }
    if let Some(call) = named::family(function) {
        return Ok(Some(call));
    }
    let [ObjectNamePart::Identifier(name)] = function.name.0.as_slice() else {
        return Err(absent(&function.name.to_string()));
    };
    let (written, lower) = (name.value.clone(), name.value.to_ascii_lowercase());
    if lower.starts_with(PREFIX) || matches!(lower.as_str(), "named_struct" | "array_resize") {
        // Put there by a rewrite before.
        return Ok(None);
    }
    literal_times::coerce(&lower, function);
    if lower == "array" {
        return gathered::array_of(function).map(Some);
    }
    if let Some(other) = named::spell(&lower, function)? {
        return Ok(Some(other));
    }
    if !matches!(function.args, FunctionArguments::Subquery(_))
        && let Some(given) = row_restriction::arguments(function)
    {
        let given: Vec<Expr> = given.into_iter().cloned().collect();
        if let Some(other) = shapes::spell(&lower, function, &given)? {
            return Ok(Some(other));
        }
    }
    if let Some(other) = special(&lower, function)? {
        return Ok(Some(other));
    }
    let renamed = RENAMED
        .iter()
        .find(|(from, _)| *from == lower)
        .map(|(_, to)| *to);
    let same = SAME.iter().find(|name| **name == lower).copied();
    let also = match lower.as_str() {
        "string_agg" | "countif" | "approx_count_distinct" => Some(aggregate(&lower, function)?),
        _ => None,
    };
    let Some(new) = renamed.or(same).or(also) else {
        return Err(absent(&written));
    };
    clauses::check(&lower, function)?;
    clauses::in_order(function);
    function.name = vec![Ident::new(new)].into();
    Ok(None)
}

/// What is said of a function that is not here.
fn absent(name: &str) -> QueryError {
    match known::is_known(name) {
        true => unsupported(format!("the function {name}")),
        false => QueryError::Invalid {
            message: format!("Function not found: {name}"),
        },
    }
}

/// A call that gives null where it would fail.
pub(in crate::query) fn safely(call: Expr, name: &str) -> Result<Expr, QueryError> {
    let Expr::Function(mut function) = call else {
        return Err(unsupported(format!("the function {name}")));
    };
    let own = function.name.to_string();
    let known = own.strip_prefix(PREFIX);
    let is_scalar = functions::named(&own).is_ok();
    let Some(rest) = known.filter(|_| is_scalar && function.over.is_none()) else {
        return Err(unsupported(format!("the function {name}")));
    };
    function.name = vec![Ident::new(format!("{SAFELY}{rest}"))].into();
    // What reads the text of a number is part of the function.
    if let FunctionArguments::List(list) = &mut function.args {
        for argument in &mut list.args {
            if let FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Function(inner))) = argument
                && inner.name.to_string() == "millpond_plain_number"
            {
                inner.name = vec![Ident::new(format!("{SAFELY}plain_number"))].into();
            }
        }
    }
    Ok(Expr::Function(function))
}

/// Aggregates whose arguments are written otherwise; the name they go by.
fn aggregate(name: &str, function: &mut Function) -> Result<&'static str, QueryError> {
    let given = arguments(function)?;
    let FunctionArguments::List(list) = &mut function.args else {
        return Err(unsupported(format!("the function {name}")));
    };
    match (name, given.as_slice()) {
        ("string_agg", [_]) => {
            push(function, build::text(","));
            Ok("string_agg")
        }
        ("string_agg", [_, _]) => Ok("string_agg"),
        ("countif", [condition]) => {
            let counted = build::choice(condition.clone(), build::number(1), None);
            list.args = vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(counted))];
            Ok("count")
        }
        ("approx_count_distinct", [_]) => {
            list.duplicate_treatment = Some(ast::DuplicateTreatment::Distinct);
            Ok("count")
        }
        _ => Err(unsupported(format!("{} arguments of {name}", given.len()))),
    }
}

fn push(function: &mut Function, argument: Expr) {
    if let FunctionArguments::List(list) = &mut function.args {
        list.args
            .push(FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)));
    }
}

fn arguments(function: &Function) -> Result<Vec<Expr>, QueryError> {
    if matches!(function.args, FunctionArguments::None) {
        return Ok(Vec::new());
    }
    row_restriction::arguments(function)
        .map(|all| all.into_iter().cloned().collect())
        .ok_or_else(|| unsupported(format!("the arguments of {}", function.name)))
}

/// `CORR`, which is NaN where the values of a side are all the same.
fn correlation(function: &Function, one: &Expr, other: &Expr) -> Expr {
    let mut all = function.clone();
    all.name = vec![Ident::new("corr")].into();
    clauses::in_order(&mut all);
    let there = build::any_null(&[one.clone(), other.clone()]);
    let mut pairs = all.clone();
    pairs.name = vec![Ident::new("count")].into();
    if let FunctionArguments::List(list) = &mut pairs.args {
        let counted = build::choice(there, build::null(), Some(build::number(1)));
        list.args = vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(counted))];
    }
    let enough = build::binary(
        Expr::Function(pairs),
        ast::BinaryOperator::GtEq,
        build::number(2),
    );
    let nan = build::cast(build::text("nan"), &plain("value", "FLOAT"));
    let otherwise = build::choice(enough, nan, None);
    build::call("coalesce", vec![Expr::Function(all), otherwise])
}

/// Functions that become another expression altogether.
fn special(name: &str, function: &Function) -> Result<Option<Expr>, QueryError> {
    const NAMES: &[&str] = &[
        "concat",
        "corr",
        "current_datetime",
        "current_time",
        "current_timestamp",
        "date",
        "date_add",
        "date_diff",
        "date_sub",
        "date_trunc",
        "datetime",
        "datetime_add",
        "datetime_diff",
        "datetime_sub",
        "datetime_trunc",
        "greatest",
        "if",
        "least",
        "mod",
        "nvl",
        "string",
        "time",
        "time_add",
        "time_diff",
        "time_sub",
        "time_trunc",
        "timestamp",
        "timestamp_add",
        "timestamp_diff",
        "timestamp_micros",
        "timestamp_millis",
        "timestamp_seconds",
        "timestamp_sub",
        "timestamp_trunc",
        "unix_micros",
        "unix_millis",
        "unix_seconds",
        "parse_json",
        "array_to_string",
    ];
    if !NAMES.contains(&name) {
        return Ok(None);
    }
    let given = arguments(function)?;
    let wrong = || {
        unsupported(format!(
            "{} arguments of {}",
            given.len(),
            name.to_uppercase()
        ))
    };
    let to = |kind: &str, value: &Expr| build::cast(value.clone(), &plain("value", kind));
    Ok(Some(match (name, given.as_slice()) {
        ("concat", [_, ..]) => build::call("millpond_concat", given.clone()),
        ("if", [condition, yes, no]) => {
            build::choice(condition.clone(), yes.clone(), Some(no.clone()))
        }
        ("corr", [one, other]) => correlation(function, one, other),
        ("nvl", [_, _]) => build::call("coalesce", given.clone()),
        ("array_to_string", [_, _]) => build::call("millpond_array_to_string", given.clone()),
        ("greatest" | "least", [_, ..]) => build::choice(
            build::any_null(&given),
            build::null(),
            Some(build::call(
                "millpond_unless_nan",
                [vec![build::call(name, given.clone())], given.clone()].concat(),
            )),
        ),
        ("mod", [_, _]) => build::call("millpond_mod", given.clone()),
        ("date", [value]) => to("DATE", value),
        ("date", [_, _, _]) => build::call("millpond_date_of", given.clone()),
        ("datetime", [value]) => to("DATETIME", value),
        ("timestamp", [value]) => to("TIMESTAMP", value),
        ("time", [value]) => to("TIME", value),
        ("string", [_]) => build::call("millpond_string", given.clone()),
        ("parse_json", [_]) => build::call("millpond_parse_json", given.clone()),
        ("current_datetime", []) => to("DATETIME", &build::call("now", Vec::new())),
        // In microseconds, as everything else is.
        ("current_timestamp", []) => to("TIMESTAMP", &build::call("now", Vec::new())),
        ("current_time", []) => to("TIME", &build::call("now", Vec::new())),
        ("timestamp_seconds" | "timestamp_millis" | "timestamp_micros", [value]) => build::call(
            "millpond_from_unix",
            vec![value.clone(), build::number(unit(name))],
        ),
        ("unix_seconds" | "unix_millis" | "unix_micros", [value]) => build::call(
            "millpond_to_unix",
            vec![value.clone(), build::number(unit(name))],
        ),
        (_, [value, interval]) if name.ends_with("_add") || name.ends_with("_sub") => {
            let (count, part) = build::interval_of(interval).ok_or_else(wrong)?;
            let mut count = count.clone();
            if name.ends_with("_sub") {
                count = build::binary(build::number(0), ast::BinaryOperator::Minus, count);
            }
            build::call(
                "millpond_time_add",
                vec![value.clone(), count, part.clone()],
            )
        }
        ("timestamp_trunc" | "date_trunc", [value, part, zone]) => build::call(
            "millpond_trunc_in_zone",
            vec![value.clone(), part_name(part)?, zone.clone()],
        ),
        (_, [value, part]) if name.ends_with("_trunc") => {
            build::call("millpond_time_trunc", vec![value.clone(), part_name(part)?])
        }
        (_, [left, right, part]) if name.ends_with("_diff") => build::call(
            "millpond_time_diff",
            vec![left.clone(), right.clone(), part_name(part)?],
        ),
        _ => return Err(wrong()),
    }))
}

fn unit(name: &str) -> i64 {
    match name {
        name if name.ends_with("seconds") => 1_000_000,
        name if name.ends_with("millis") => 1000,
        _ => 1,
    }
}

/// `WEEK(MONDAY)`, which is the name of a part of a date, as a name.
pub(in crate::query) fn week_from(function: &Function) -> Option<Expr> {
    if !function.name.to_string().eq_ignore_ascii_case("WEEK") {
        return None;
    }
    let given = row_restriction::arguments(function)?;
    let [Expr::Identifier(day)] = given.as_slice() else {
        return None;
    };
    let day = DAYS_OF_WEEK
        .into_iter()
        .find(|d| d.eq_ignore_ascii_case(&day.value))?;
    Some(Expr::Identifier(Ident::new(format!("WEEK({day})"))))
}
