//! The written form of a fault script, YAML or JSON: what a file may say, and how a script is printed.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tonic::Code;

use super::{Corruption, FaultAction, FaultScript, FaultTarget, RandomFaults, Rule, WriteMethod};

/// Why a written script was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FaultScriptError {
    /// The text is no YAML or JSON of the expected form.
    #[error("{message}")]
    Malformed {
        /// What and where.
        message: String,
    },
    /// A method nobody can fail.
    #[error(
        "fault {index}: unknown method {method:?}; known are CreateReadSession, ReadRows, SplitReadStream, Rest, {}",
        WriteMethod::ALL.map(WriteMethod::name).join(", ")
    )]
    UnknownMethod {
        /// Position of the fault in the list, from 1.
        index: usize,
        /// The method as written.
        method: String,
    },
    /// A code gRPC does not have.
    #[error(
        "fault {index}: unknown code {code:?}; gRPC's own names are meant, such as UNAVAILABLE"
    )]
    UnknownCode {
        /// Position of the fault in the list, from 1.
        index: usize,
        /// The code as written.
        code: String,
    },
    /// A setting that does not go with the method.
    #[error("fault {index}: {setting} does not go with method {method}")]
    OutOfPlace {
        /// Position of the fault in the list, from 1.
        index: usize,
        /// The setting.
        setting: &'static str,
        /// The method.
        method: &'static str,
    },
    /// An HTTP status that is no error.
    #[error("fault {index}: http status {status} is not between 400 and 599")]
    HttpStatus {
        /// Position of the fault in the list, from 1.
        index: usize,
        /// The status as written.
        status: u16,
    },
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct ScriptForm {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    write_seed: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    random: Option<RandomForm>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    faults: Vec<RuleForm>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RandomForm {
    seed: u64,
    percent: u8,
    #[serde(default = "three")]
    calls: u32,
    #[serde(default = "eight")]
    within_responses: u64,
}

fn three() -> u32 {
    3
}

fn eight() -> u64 {
    8
}

fn one() -> u32 {
    1
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RuleForm {
    method: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stream: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(default, skip_serializing_if = "is_zero")]
    after_responses: u64,
    #[serde(default, skip_serializing_if = "is_no_call")]
    skip_calls: u32,
    #[serde(default = "one")]
    calls: u32,
    fault: ActionForm,
}

// The signature is serde's.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_no_call(n: &u32) -> bool {
    *n == 0
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum ActionForm {
    Abort {
        code: String,
        #[serde(default)]
        message: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
    },
    StallMs(u64),
    SlowMs(u64),
    CutAfterBytes(u64),
    Duplicate,
    FlipByte(u64),
    TruncateTo(u64),
    DeclareLength(u32),
    RowCountOffBy(i64),
    ExpireSession,
    IgnoreOffset,
    LoseAnswer,
    Http {
        status: u16,
        #[serde(default = "backend_error")]
        reason: String,
        #[serde(default)]
        message: String,
    },
}

fn backend_error() -> String {
    "backendError".to_owned()
}

impl FaultScript {
    /// Reads a script from YAML, or from JSON, which is YAML too.
    ///
    /// ```yaml
    /// seed: 7                       # first a script drawn from a seed, as by FaultScript::from_seed
    /// write_seed: 7                 # then one for the methods that write, as by FaultScript::writes_from_seed
    /// random: {seed: 7, percent: 50, calls: 3, within_responses: 8}   # what clients survive, on ReadRows calls no rule names
    /// faults:                       # the first rule that applies to a call is played
    ///   - method: ReadRows          # CreateReadSession, ReadRows, SplitReadStream, Rest, or one that writes, such as AppendRows
    ///     stream: 1                 # position in the session; without it every stream, each with a count of its own
    ///     after_responses: 3        # default 0
    ///     skip_calls: 0             # calls let through first, default 0
    ///     calls: 2                  # calls that fail, default 1
    ///     fault: {abort: {code: RESOURCE_EXHAUSTED, message: quota, retry_after_ms: 2000}}
    ///   - method: Rest
    ///     path: /tables/            # part of the path; without it every call
    ///     fault: {http: {status: 503, reason: backendError, message: try again}}
    /// ```
    ///
    /// The faults: `abort`, `stall_ms: N`, `slow_ms: N`, `cut_after_bytes: N`, `duplicate`, `flip_byte: N`, `truncate_to: N`,
    /// `declare_length: N`, `row_count_off_by: N`, `expire_session`, `ignore_offset`, `lose_answer`, `http`.
    ///
    /// # Errors
    /// [`FaultScriptError`] naming the fault and what is wrong with it.
    pub fn from_yaml(text: &str) -> Result<Self, FaultScriptError> {
        let form: ScriptForm =
            serde_saphyr::from_str(text).map_err(|e| FaultScriptError::Malformed {
                message: e.to_string(),
            })?;
        let mut script = form.seed.map_or_else(Self::new, Self::from_seed);
        if let Some(seed) = form.write_seed {
            script.rules.extend(Self::writes_from_seed(seed).rules);
        }
        script.random = form.random.map(|r| RandomFaults {
            seed: r.seed,
            percent: r.percent,
            attempts: r.calls,
            within_responses: r.within_responses,
        });
        for (index, rule) in form.faults.into_iter().enumerate() {
            script.rules.push(read_rule(index + 1, rule)?);
        }
        Ok(script)
    }

    /// The script in the form [`FaultScript::from_yaml`] reads.
    ///
    /// # Errors
    /// [`FaultScriptError::Malformed`] when the text cannot be written, which no script is known to cause.
    pub fn to_yaml(&self) -> Result<String, FaultScriptError> {
        let form = ScriptForm {
            seed: None,
            write_seed: None,
            random: self.random.map(|r| RandomForm {
                seed: r.seed,
                percent: r.percent,
                calls: r.attempts,
                within_responses: r.within_responses,
            }),
            faults: self.rules.iter().map(write_rule).collect(),
        };
        serde_saphyr::to_string(&form).map_err(|e| FaultScriptError::Malformed {
            message: e.to_string(),
        })
    }
}

fn read_rule(index: usize, form: RuleForm) -> Result<Rule, FaultScriptError> {
    let (method, target) = match form.method.as_str() {
        "CreateReadSession" => ("CreateReadSession", FaultTarget::CreateReadSession),
        "ReadRows" => (
            "ReadRows",
            form.stream
                .map_or(FaultTarget::AnyStream, FaultTarget::Stream),
        ),
        "SplitReadStream" => ("SplitReadStream", FaultTarget::SplitReadStream),
        "Rest" => (
            "Rest",
            FaultTarget::Rest(form.path.clone().unwrap_or_default()),
        ),
        other => match WriteMethod::named(other) {
            Some(method) => (method.name(), FaultTarget::Write(method)),
            None => {
                return Err(FaultScriptError::UnknownMethod {
                    index,
                    method: form.method,
                });
            }
        },
    };
    let writes = matches!(target, FaultTarget::Write(_));
    let out_of_place = |setting| FaultScriptError::OutOfPlace {
        index,
        setting,
        method,
    };
    if form.stream.is_some() && method != "ReadRows" {
        return Err(out_of_place("stream"));
    }
    if form.path.is_some() && method != "Rest" {
        return Err(out_of_place("path"));
    }
    if form.after_responses > 0 && !["ReadRows", "AppendRows"].contains(&method) {
        return Err(out_of_place("after_responses"));
    }
    let action = read_action(index, form.fault)?;
    if action == FaultAction::LoseAnswer && !writes {
        return Err(out_of_place("lose_answer"));
    }
    if let Some(setting) = misplaced(&action, method) {
        return Err(out_of_place(setting));
    }
    Ok(Rule {
        target,
        after_responses: form.after_responses,
        skip: form.skip_calls,
        attempts: form.calls,
        action,
    })
}

/// The name of a fault that `method` does not know.
fn misplaced(action: &FaultAction, method: &str) -> Option<&'static str> {
    let setting = match action {
        FaultAction::Http { .. } if method != "Rest" => "http",
        FaultAction::Duplicate => "duplicate",
        FaultAction::Corrupt(_) => "a corruption",
        FaultAction::WrongRowCount { .. } => "row_count_off_by",
        FaultAction::ExpireSession => "expire_session",
        FaultAction::IgnoreOffset => "ignore_offset",
        _ => return None,
    };
    (method != "ReadRows" || setting == "http").then_some(setting)
}

fn read_action(index: usize, form: ActionForm) -> Result<FaultAction, FaultScriptError> {
    Ok(match form {
        ActionForm::Abort {
            code,
            message,
            retry_after_ms,
        } => FaultAction::Abort {
            code: code_named(&code).ok_or(FaultScriptError::UnknownCode { index, code })?,
            message,
            retry_delay: retry_after_ms.map(Duration::from_millis),
        },
        ActionForm::StallMs(ms) => FaultAction::Stall(Duration::from_millis(ms)),
        ActionForm::SlowMs(ms) => FaultAction::Slow(Duration::from_millis(ms)),
        ActionForm::CutAfterBytes(after_bytes) => FaultAction::Cut { after_bytes },
        ActionForm::Duplicate => FaultAction::Duplicate,
        ActionForm::FlipByte(at) => FaultAction::Corrupt(Corruption::FlipByte { at }),
        ActionForm::TruncateTo(bytes) => FaultAction::Corrupt(Corruption::TruncateTo { bytes }),
        ActionForm::DeclareLength(bytes) => {
            FaultAction::Corrupt(Corruption::DeclareLength { bytes })
        }
        ActionForm::RowCountOffBy(off_by) => FaultAction::WrongRowCount { off_by },
        ActionForm::ExpireSession => FaultAction::ExpireSession,
        ActionForm::IgnoreOffset => FaultAction::IgnoreOffset,
        ActionForm::LoseAnswer => FaultAction::LoseAnswer,
        ActionForm::Http { status, .. } if !(400..600).contains(&status) => {
            return Err(FaultScriptError::HttpStatus { index, status });
        }
        ActionForm::Http {
            status,
            reason,
            message,
        } => FaultAction::Http {
            status,
            reason,
            message,
        },
    })
}

fn write_rule(rule: &Rule) -> RuleForm {
    let (method, stream, path) = match &rule.target {
        FaultTarget::CreateReadSession => ("CreateReadSession", None, None),
        FaultTarget::AnyStream => ("ReadRows", None, None),
        FaultTarget::Stream(index) => ("ReadRows", Some(*index), None),
        FaultTarget::SplitReadStream => ("SplitReadStream", None, None),
        FaultTarget::Rest(path) => (
            "Rest",
            None,
            Some(path.clone()).filter(|path| !path.is_empty()),
        ),
        FaultTarget::Write(method) => (method.name(), None, None),
    };
    RuleForm {
        method: method.to_owned(),
        stream,
        path,
        after_responses: rule.after_responses,
        skip_calls: rule.skip,
        calls: rule.attempts,
        fault: write_action(&rule.action),
    }
}

fn write_action(action: &FaultAction) -> ActionForm {
    let millis = |d: &Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
    match action {
        FaultAction::Abort {
            code,
            message,
            retry_delay,
        } => ActionForm::Abort {
            code: code_name(*code).to_owned(),
            message: message.clone(),
            retry_after_ms: retry_delay.as_ref().map(millis),
        },
        FaultAction::Stall(time) => ActionForm::StallMs(millis(time)),
        FaultAction::Slow(time) => ActionForm::SlowMs(millis(time)),
        FaultAction::Cut { after_bytes } => ActionForm::CutAfterBytes(*after_bytes),
        FaultAction::Duplicate => ActionForm::Duplicate,
        FaultAction::Corrupt(Corruption::FlipByte { at }) => ActionForm::FlipByte(*at),
        FaultAction::Corrupt(Corruption::TruncateTo { bytes }) => ActionForm::TruncateTo(*bytes),
        FaultAction::Corrupt(Corruption::DeclareLength { bytes }) => {
            ActionForm::DeclareLength(*bytes)
        }
        FaultAction::WrongRowCount { off_by } => ActionForm::RowCountOffBy(*off_by),
        FaultAction::ExpireSession => ActionForm::ExpireSession,
        FaultAction::IgnoreOffset => ActionForm::IgnoreOffset,
        FaultAction::LoseAnswer => ActionForm::LoseAnswer,
        FaultAction::Http {
            status,
            reason,
            message,
        } => ActionForm::Http {
            status: *status,
            reason: reason.clone(),
            message: message.clone(),
        },
    }
}

impl fmt::Display for FaultAction {
    /// The fault as a script says it, on one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = serde_json::to_string(&write_action(self)).map_err(|_| fmt::Error)?;
        f.write_str(&text)
    }
}

/// gRPC's codes by number.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

fn code_named(name: &str) -> Option<Code> {
    let number = CODES.iter().position(|code| *code == name)?;
    i32::try_from(number).ok().map(Code::from_i32)
}

/// A code's name in gRPC's own spelling.
pub(crate) fn code_name(code: Code) -> &'static str {
    usize::try_from(i32::from(code))
        .ok()
        .and_then(|number| CODES.get(number).copied())
        .unwrap_or("UNKNOWN")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_drawn_script_survives_being_written_and_read() {
        for seed in 0..300 {
            let script = FaultScript::from_seed(seed);
            let text = script.to_yaml().unwrap();
            assert_eq!(FaultScript::from_yaml(&text).unwrap(), script, "{text}");
            let script = FaultScript::writes_from_seed(seed);
            let text = script.to_yaml().unwrap();
            assert_eq!(FaultScript::from_yaml(&text).unwrap(), script, "{text}");
            let named = format!("write_seed: {seed}");
            assert_eq!(FaultScript::from_yaml(&named).unwrap(), script);
        }
    }

    #[test]
    fn json_is_read_too_and_a_seed_comes_before_the_rules() {
        let text = r#"{"seed": 3, "random": {"seed": 9, "percent": 20},
            "faults": [{"method": "ReadRows", "stream": 2, "skip_calls": 1, "fault": "duplicate"}]}"#;
        let script = FaultScript::from_yaml(text).unwrap();
        let expected = FaultScript::from_seed(3)
            .fault_later(FaultTarget::Stream(2), 0, 1, 1, FaultAction::Duplicate)
            .random(RandomFaults {
                seed: 9,
                percent: 20,
                attempts: 3,
                within_responses: 8,
            });
        assert_eq!(script, expected);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = |fault: &str| {
            FaultScript::from_yaml(&format!("faults:\n  - {fault}\n"))
                .unwrap_err()
                .to_string()
        };
        assert!(error("{method: Read, fault: duplicate}").contains("unknown method \"Read\""));
        assert!(
            error("{method: ReadRows, fault: {abort: {code: GONE}}}")
                .contains("fault 1: unknown code \"GONE\"")
        );
        assert!(
            error("{method: CreateReadSession, stream: 1, fault: {stall_ms: 1}}")
                .contains("stream does not go with method CreateReadSession")
        );
        assert!(error("{method: Rest, fault: duplicate}").contains("duplicate does not go"));
        assert!(
            error("{method: ReadRows, fault: {http: {status: 500}}}").contains("http does not go")
        );
        assert!(error("{method: Rest, fault: {http: {status: 200}}}").contains("200"));
        assert!(error("{method: ReadRows, fault: lose_answer}").contains("lose_answer does not"));
        assert!(error("{method: AppendRows, fault: duplicate}").contains("duplicate does not go"));
        assert!(
            error("{method: FlushRows, after_responses: 1, fault: lose_answer}")
                .contains("after_responses does not go with method FlushRows")
        );
        assert!(error("{method: ReadRows, fault: explode}").contains("explode"));
        assert!(error("{method: ReadRows, calls: 1}").contains("fault"));
    }
}
