//! Calls with arguments that have names, `f(x, name => y)`, and those with any number of arguments behind them.

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, Value,
};

use crate::query::sql_types::plain;
use crate::query::{QueryError, rewrite::build, unsupported};

/// The parts of an interval, in the order in which MAKE_INTERVAL takes them.
const INTERVAL: [&str; 6] = ["year", "month", "day", "hour", "minute", "second"];

/// The arguments of a call by their places and by their names.
struct Given {
    placed: Vec<Expr>,
    named: Vec<(String, Expr)>,
}

impl Given {
    fn of(function: &Function) -> Option<Self> {
        let FunctionArguments::List(list) = &function.args else {
            return None;
        };
        if !list.clauses.is_empty() || list.duplicate_treatment.is_some() {
            return None;
        }
        let (mut placed, mut named) = (Vec::new(), Vec::new());
        for arg in &list.args {
            match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => placed.push(value.clone()),
                FunctionArg::Named {
                    name,
                    arg: FunctionArgExpr::Expr(value),
                    ..
                } => named.push((name.value.to_ascii_lowercase(), value.clone())),
                _ => return None,
            }
        }
        Some(Self { placed, named })
    }

    /// Takes the argument of a name.
    fn take(&mut self, name: &str) -> Option<Expr> {
        let at = self.named.iter().position(|(own, _)| own == name)?;
        Some(self.named.remove(at).1)
    }

    fn flag(&mut self, name: &str, otherwise: bool) -> Expr {
        let literal = Expr::Value(Value::Boolean(otherwise).into());
        self.take(name).unwrap_or(literal)
    }

    /// The call of another function, when all names have been taken.
    fn call(self, name: &str, to: &str) -> Result<Option<Expr>, QueryError> {
        match self.named.first() {
            Some((own, _)) => Err(unsupported(format!(
                "the argument {own} of {}",
                name.to_uppercase()
            ))),
            None => Ok(Some(build::call(to, self.placed))),
        }
    }
}

/// What a call is to be replaced with; `None` for one that is not among these.
///
/// # Errors
/// [`QueryError::Unsupported`] for a name that is not known.
pub(in crate::query) fn spell(name: &str, function: &Function) -> Result<Option<Expr>, QueryError> {
    let Some(mut given) = Given::of(function) else {
        return Ok(None);
    };
    match name {
        "to_json" => {
            let wide = given.take("stringify_wide_numbers");
            given.placed.extend(wide);
            given.call(name, "millpond_to_json")
        }
        "parse_json" => {
            let Some(mode) = given.take("wide_number_mode") else {
                return Ok(None);
            };
            let [document] = given.placed.as_slice() else {
                return Err(unsupported("PARSE_JSON of more than one text"));
            };
            match mode.to_string().trim_matches(['\'', '"']) {
                "exact" => Ok(Some(build::call(
                    "millpond_parse_json",
                    vec![document.clone()],
                ))),
                "round" => Ok(Some(build::cast(document.clone(), &plain("value", "JSON")))),
                _ => Err(unsupported(format!("the wide_number_mode {mode}"))),
            }
        }
        "json_set" | "json_array_append" | "json_array_insert" => {
            let flag = match name {
                "json_set" => "create_if_missing",
                "json_array_append" => "append_each_element",
                _ => "insert_each_element",
            };
            let flag = given.flag(flag, true);
            given.placed.insert(0, flag);
            given.call(name, &format!("millpond_{name}"))
        }
        "json_remove" => given.call(name, "millpond_json_remove"),
        "json_strip_nulls" => {
            if given.placed.len() == 1 {
                given.placed.push(build::text("$"));
            }
            let arrays = given.flag("include_arrays", true);
            let empty = given.flag("remove_empty", false);
            given.placed.extend([arrays, empty]);
            given.call(name, "millpond_json_strip_nulls")
        }
        "edit_distance" => {
            let most = given.take("max_distance");
            given.placed.extend(most);
            given.call(name, "millpond_edit_distance")
        }
        "make_interval" => {
            let rest = INTERVAL.iter().skip(given.placed.len());
            let rest: Vec<Expr> = rest
                .map(|part| given.take(part).unwrap_or_else(|| build::number(0)))
                .collect();
            given.placed.extend(rest);
            given.call(name, "millpond_make_interval")
        }
        _ => Ok(None),
    }
}

/// Families of functions, `NET.HOST`, by one name.
pub(in crate::query) fn family(function: &Function) -> Option<Expr> {
    const NET: &[&str] = &[
        "host",
        "ip_from_string",
        "safe_ip_from_string",
        "ip_to_string",
        "ip_net_mask",
        "ip_trunc",
        "ipv4_from_int64",
        "ipv4_to_int64",
    ];
    const HLL_COUNT: &[&str] = &["extract", "init", "merge", "merge_partial"];
    let parts: Option<Vec<&Ident>> = function.name.0.iter().map(|p| p.as_ident()).collect();
    let [family, own] = parts.as_deref()? else {
        return None;
    };
    let own = own.value.to_ascii_lowercase();
    let known = [("net", "net", NET), ("hll_count", "hll", HLL_COUNT)];
    let known = known.iter().find(|(name, _, members)| {
        family.value.eq_ignore_ascii_case(name) && members.contains(&own.as_str())
    });
    let (_, prefix, _) = known?;
    let mut call = function.clone();
    call.name = ObjectName::from(vec![Ident::new(format!("millpond_{prefix}_{own}"))]);
    Some(Expr::Function(call))
}
